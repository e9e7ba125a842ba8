"""Chinese for every template: the English one is the key. One file a room."""

from tidegate.domain.zh.apps import APPS
from tidegate.domain.zh.contract import CONTRACT
from tidegate.domain.zh.data import DATA
from tidegate.domain.zh.domain import DOMAIN
from tidegate.domain.zh.gateway import GATEWAY
from tidegate.domain.zh.governance import GOVERNANCE
from tidegate.domain.zh.ledger import LEDGER
from tidegate.domain.zh.monitoring import MONITORING
from tidegate.domain.zh.params import PARAMS
from tidegate.domain.zh.process import PROCESS
from tidegate.domain.zh.release import RELEASE
from tidegate.domain.zh.sources import SOURCES
from tidegate.domain.zh.store import STORE
from tidegate.domain.zh.training import TRAINING
from tidegate.domain.zh.words import WORDS

ZH: dict[str, str] = {
    **APPS,
    **CONTRACT,
    **DATA,
    **DOMAIN,
    **GATEWAY,
    **GOVERNANCE,
    **LEDGER,
    **MONITORING,
    **PARAMS,
    **PROCESS,
    **RELEASE,
    **SOURCES,
    **STORE,
    **TRAINING,
    **WORDS,
}
