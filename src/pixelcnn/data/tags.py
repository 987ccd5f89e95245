"""The tag of an image: how it was augmented, as a network is told it within its condition.

A network that is not told takes all augmented images for likely. One that is told learns from them as well,
but keeps apart what they look like: evaluated with tag 0, that of an image as it is, it is a likelihood of
such images. With K tags, of which each stands for a transformation:

- without a condition, the network is given the tag, as one of K labels;
- with one of C labels, it is given ``tag * C + label``, as one of K * C labels.

So labels mean what they mean without tags, whatever gives no tag gives tag 0, and a label from C on says
a tag as well. Networks that are given vectors or maps are told of nothing.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from pixelcnn.errors import ConfigError, ModelError


@dataclasses.dataclass(frozen=True)
class Tags:
    """Which condition a network has besides tags.

    Attributes:
        kind: None, ``label``, ``vector`` or ``map``.
        size: classes, or features of the vector or map; 0 without condition.
        count: of the tags; 1 where there are none.

    Example:
        >>> Tags(None, 0, 4).network, Tags("label", 10, 4).network
        (('label', 4), ('label', 40))
    """

    kind: str | None
    size: int
    count: int = 1

    @property
    def network(self) -> tuple[str | None, int]:
        """Kind and size of the condition that the network has.

        Raises:
            ConfigError: there are tags beside vectors or maps.
        """
        if self.count == 1:
            return self.kind, self.size
        if self.kind not in (None, "label"):
            raise ConfigError(
                f"a network that is given {self.kind}s cannot be told of augmentation as well",
                hint="leave augment_tag out",
            )
        return "label", max(self.size, 1) * self.count

    def whole(self, condition: Any, n: int) -> Any:
        """A condition of n images, with tag 0 where it says none."""
        untold = self.count > 1 and self.kind is None and condition is None
        return torch.zeros(n, dtype=torch.int64) if untold else condition

    def told(self, condition: Tensor, tag: Tensor) -> Tensor:
        """Labels ``(n,)`` of images as they are, with the tags ``(n,)`` in place of 0."""
        return condition + tag.to(condition.device) * max(self.size, 1)


def of(model: Any) -> Tags:
    """The tags of a model, as its record counts them.

    Raises:
        ModelError: the record does not fit the network.
    """
    kind, size = model.network.condition, model.network.condition_size
    count = model.record.get("tags", {}).get("count", 1)
    if count == 1:
        return Tags(kind, size)
    if kind != "label" or size % count:
        raise ModelError(
            f"record.tags counts {count} transformations, which this model's network cannot tell apart"
        )
    return Tags(None, 0, count) if size == count else Tags(kind, size // count, count)
