"""Does the fork server end with its worker? Importing this binds the importing process to its parent."""

from pullplan import lifeline

lifeline.end_with_parent()
