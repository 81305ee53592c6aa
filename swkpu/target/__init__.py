"""Machine descriptions: what a target is, read from TOML."""

from swkpu.target.loader import list_targets, load_target, load_text
from swkpu.target.machine import Machine, Profile, TileGroup, warnings

__all__ = ["Machine", "Profile", "TileGroup", "list_targets", "load_target", "load_text", "warnings"]
