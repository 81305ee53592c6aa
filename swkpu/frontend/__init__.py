"""From PyTorch to the nn dialect: capture with torch.export, then import operator by operator."""

from swkpu.frontend.capture import capture
from swkpu.frontend.importer import import_model, import_program
from swkpu.frontend.table import supported_ops

__all__ = ["capture", "import_model", "import_program", "supported_ops"]
