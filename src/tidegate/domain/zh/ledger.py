"""What the record say, in Chinese."""

LEDGER = {
    "the stored {kind} {digest} is not what was recorded": "保存的{kind} {digest} 和记录的不符",
    "see what else is hurt with: tidegate audit verify; then restore a backup": "看看还有哪里受损：tidegate audit verify；然后从备份恢复",
    "{kind} '{id}' was changed by someone else meanwhile": "{kind}“{id}”同时被别人改了",
    "look at it as it is now, and run the command again": "先看看现在的样子，再重新运行命令",
    "its root is not the one of the {events} events that are there: some were changed, removed, reordered or added": "它的根和现有的 {events} 个事件对不上：有的被改、被删、被调换或被添加",
    "it is missing, though events tell of it": "它不见了，而账本里有它的事件",
    "the event before it should be {expected}": "它前面应该是事件 {expected}",
    "its text is not what was written": "文字和当初写的不一样",
    "its columns do not say what its text says": "各列和正文说的不一致",
    "no event tells of it": "没有事件提到它",
    "it is not as event {event} left it": "它和事件 {event} 留下的样子不同",
}
