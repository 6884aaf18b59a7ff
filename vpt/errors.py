"""What went wrong, in one line: what every program, ledger and reader says of an error.

    one_line(error)             # "clip.mp4: No space left on device: make room there, and give the same command again"

What stands in an error may come from a file or a site that means harm: titles with line ends and control codes, values
without end, names of any length.
"""

import errno
from pathlib import Path

MAKE_ROOM = "make room there, and give the same command again"
ELSEWHERE = "choose another place, or change who may use it"
CURES = {errno.ENOSPC: MAKE_ROOM, errno.EDQUOT: MAKE_ROOM, errno.EFBIG: MAKE_ROOM, errno.EACCES: ELSEWHERE,
         errno.EPERM: ELSEWHERE, errno.EROFS: "choose another place", errno.ENOTDIR: "a part of this path is a file",
         errno.EEXIST: "choose another name, or move away what has it", errno.EISDIR: "name a file, not a folder",
         errno.ENAMETOOLONG: "choose a shorter name"}  # fmt: skip
LONGEST = 500  # characters
LAST = 80  # of them at the end, where the cure stands


def one_line(said: BaseException | str, most: int = LONGEST, of: Path | str = "") -> str:
    """An error, or a text that somebody else chose, as one line for a terminal of about `most` characters.

    of: the file or address that the sentence around it names; where the error begins with it, it is not said twice.
    Of the system's errors: the file, what is wrong with it, what to do about it. An error that is not a person's
    mistake (neither ValueError nor OSError), or says nothing, begins with its kind. Line ends of any kind are blanks,
    control codes and halves of characters are "?"; of what is too long the middle is left out.
    """
    text = said if isinstance(said, str) else _said(said)
    text = text.removeprefix(f"{of}: ") if of else text
    if len(text) > 4 * most:  # before it is looked at character by character
        text = f"{text[: 3 * most]} ... {text[-most:]}"
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return text if len(text) <= most else f"{text[: most - LAST]} ... {text[-LAST:]}"


def _said(error: BaseException) -> str:
    text, kind = str(error), type(error).__name__
    if isinstance(error, OSError) and error.strerror is not None:
        text = error.strerror + (f": {CURES[error.errno]}" if error.errno in CURES else "")
        return f"{error.filename}: {text}" if error.filename else text
    if isinstance(error, ValueError | OSError):
        return text if text.strip() else kind
    return f"{kind}: {text}" if text.strip() else kind
