"""Folders of images and masks."""

from components.data.folder.files import read_image, read_labels
from components.data.folder.groups import groups_by_pattern, groups_by_table
from components.data.folder.load import Folder, open_folder, split_folder
from components.data.folder.normalize import NORMALIZATIONS, normalize_image

__all__ = [
    "NORMALIZATIONS",
    "Folder",
    "groups_by_pattern",
    "groups_by_table",
    "normalize_image",
    "open_folder",
    "read_image",
    "read_labels",
    "split_folder",
]
