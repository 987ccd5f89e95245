"""Every campaign by its name."""

from fuzz.campaigns.arrays import Arrays
from fuzz.campaigns.checkpoints import Checkpoints
from fuzz.campaigns.exits import Disks, Exits
from fuzz.campaigns.models import Models
from fuzz.campaigns.packed import Packed
from fuzz.campaigns.pictures import Pictures
from fuzz.campaigns.records import Records
from fuzz.campaigns.settings import Settings
from fuzz.campaigns.tables import Tables
from fuzz.case import Campaign

CAMPAIGNS: dict[str, type[Campaign]] = {
    kind.name: kind
    for kind in (
        Models, Packed, Records, Tables, Arrays, Pictures, Settings, Checkpoints, Exits, Disks
    )
}  # fmt: skip
