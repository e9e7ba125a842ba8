"""What live metrics say, in Chinese."""

MONITORING = {
    "the label {label} of answer '{request}' is not of the kind of the answer {prediction}": "应答“{request}”的标签 {label} 和应答 {prediction} 不是同一类值",
    "give what came true as the model would have answered it": "请按模型会给出的形式填真实结果",
    "answer '{request}' was given by model '{other}', not by '{model}'": "应答“{request}”由模型“{other}”给出，不是“{model}”",
    "tell what came true to the model that answered; nothing was changed": "请把实际结果报给给出应答的模型；没有改动任何内容",
    "there is no answer '{request}' in the log": "日志里没有应答“{request}”",
    "give the request_id that came with the answer": "请给应答里附带的 request_id",
    "answer '{request}' is not in the log yet": "日志里还没有应答“{request}”",
    "send its label again in a few seconds: the gateway that gave the answer may not have written it": "请过几秒再发一次它的标签：给出应答的网关可能还没写完",
    "answer '{request}' was labelled {label} already": "应答“{request}”已经标为 {label}",
    "a label stands; nothing was changed": "标签以先到为准，没有改动",
    "the newest batch loses {newest:.3f} a row, against {before:.3f} before": "最新一批每行损失 {newest:.3f}，之前是 {before:.3f}",
    "{rows:,} new rows stand beside {before:,} that the champion learned from": "新到 {rows:,} 行，现役版本学过的有 {before:,} 行",
    "{batches} batches have arrived since the last update": "距上次更新已经来了 {batches} 批",
}
