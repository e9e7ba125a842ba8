"""What storage say, in Chinese."""

STORE = {
    "a text holds what is no character: {text}": "文字里有不是字符的内容：{text}",
    "write it as UTF-8": "请用 UTF-8 书写",
    "the database {database} failed: {problem}": "数据库 {database} 出错：{problem}",
    "check that it is there, reachable, and that you may read and write it": "请检查它在不在、连不连得上、有没有读写权限",
    "the workspace's database is missing: there is nothing of ours in {database}": "工作区的数据库不见了：{database} 里没有我们的表",
    "restore it from a backup, or make a new workspace with: tidegate init": "请从备份恢复，或者新建工作区：tidegate init",
    "the database was made by a newer Tidegate (revision {found}, not {known})": "数据库是更新版的 Tidegate 建的（修订 {found}，这里只认识 {known}）",
    "another command has been writing for {seconds} seconds": "另一条命令已经写了 {seconds} 秒",
    "nothing was changed; run the command again when the other one is done": "没有做任何改动；等它写完再运行",
    "the disk of {database} is full or fails: {problem}": "{database} 所在的磁盘满了或出错：{problem}",
    "nothing was changed; free some space and run the command again": "没有做任何改动；腾出空间再运行",
    "the database {database} is damaged: {problem}": "数据库 {database} 已损坏：{problem}",
    "the object store failed on '{key}': {problem}": "对象存储在“{key}”上出错：{problem}",
    "'{key}' is no key of an object": "“{key}”不能用作对象的键",
    "use letters, digits and _ . - / only": "只能用字母、数字和 _ . - /",
    "object '{key}' is missing from the store": "对象“{key}”不在存储里",
    "bring it back from a backup": "请从备份恢复它",
    "there is no space left to store '{key}'": "没有空间存“{key}”了",
    "free some space (tidegate params gc may help) and run the command again": "腾出空间（tidegate params gc 也许有用）再运行命令",
}
