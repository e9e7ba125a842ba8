"""What releases say, in Chinese."""

RELEASE = {
    "the evidence of harm is {harm:.3g} to 1, and policy acts at {line:g} to 1": "有害的证据是 {harm:.3g} 比 1，策略在 {line:g} 比 1 时出手",
    "model '{model}' has no version in production yet": "模型“{model}”还没有现役版本",
    "start an update, and take it through its gates: tidegate update start {model}": "开一个更新并让它通过各道关卡：tidegate update start {model}",
    "{keys} keys came with {rows} rows": "{rows} 行却给了 {keys} 个键",
    "give one key a row, or none": "每行一个键，或者都不给",
}
