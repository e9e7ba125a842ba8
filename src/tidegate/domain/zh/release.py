"""What releases say, in Chinese."""

RELEASE = {
    "the evidence of harm is {harm:.3g} to 1, and policy acts at {line:g} to 1": "有害的证据是 {harm:.3g} 比 1，策略在 {line:g} 比 1 时出手",
    "that it is no worse is not shown yet: the evidence is {as_good:.3g} to 1, and policy asks for {line:g} to 1": "还没有证据表明它不比现役版本差：证据是 {as_good:.3g} 比 1，策略要求 {line:g} 比 1",
    "the step is done; the next one begins by hand: tidegate release promote MODEL --step": "这一步已完成，下一步须由人放行：tidegate release promote 模型 --step",
    "the step is done; the next one begins in one of policy's windows": "这一步已完成，下一步要等到策略允许的时段才开始",
    "the candidate gave {excess:.0f} bad answers more than the champion would have; policy allows {limit}": "候选版本比现役版本多给出了 {excess:.0f} 个差应答，策略只允许 {limit} 个",
    "the step lasts at least {minutes:g} minutes": "这一步至少持续 {minutes:g} 分钟",
    "version {candidate} answers {share:.0%} of requests, step {step} of {steps}: {why}": "版本 {candidate} 应答 {share:.0%} 的请求，第 {step} 步（共 {steps} 步）：{why}",
    "that it is bad at most {margin:.0%} more often is not shown: the evidence is {as_good:.3g} to 1, and policy asks for {line:g} to 1": "差应答至多多出 {margin:.0%} 这一点没有得到证明：证据是 {as_good:.3g} 比 1，策略要求 {line:g} 比 1",
    "{person} promoted it though the evidence that it is bad at most {margin:.0%} more often is {as_good:.3g} to 1, and policy asks for {line:g} to 1": "{person} 手动转正，而差应答至多多出 {margin:.0%} 的证据只有 {as_good:.3g} 比 1，策略要求 {line:g} 比 1",
    "no step of model '{model}' waits for a person": "模型“{model}”没有等人放行的步骤",
    "leave out --step to end the canary, or the observation, by hand": "去掉 --step，就是手动结束灰度或观察",
    "model '{model}' has no version in production yet": "模型“{model}”还没有现役版本",
    "start an update, and take it through its gates: tidegate update start {model}": "开一个更新并让它通过各道关卡：tidegate update start {model}",
    "{keys} keys came with {rows} rows": "{rows} 行却给了 {keys} 个键",
    "give one key a row, or none": "每行一个键，或者都不给",
}
