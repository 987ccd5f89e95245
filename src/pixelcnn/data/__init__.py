"""Images as integer levels: embedded, official, or the user's own.

Example:
    >>> from pixelcnn import data
    >>> train, val, test = data.load("digits")
    >>> train.shape, train.levels, train.name
    (ImageShape(channels=1, height=8, width=8), 17, 'digits')
"""

from pixelcnn.data.bins import Bins
from pixelcnn.data.check import DataReport, FolderReport, check, check_folder
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.loading import load, load_all
from pixelcnn.data.options import Options
from pixelcnn.data.prepare import prepare
from pixelcnn.data.sets import DATASETS
from pixelcnn.data.survey import FileReport

__all__ = [
    "DATASETS",
    "Bins",
    "DataReport",
    "FileReport",
    "FolderReport",
    "ImageSet",
    "Options",
    "Splits",
    "check",
    "check_folder",
    "load",
    "load_all",
    "prepare",
]
