"""Makes the work where there is no C compiler: as ``producer.c``, with the same arguments."""

import os
import sys
import time

TEXT = (
    b"one hundred bytes of text, more or less, as a line of a log file "
    b"or a small message may have it\n"
)


def folder_path(root: str, number: int) -> str:
    """Return the path of a folder of the tree: folder i lies in folder i/20 - 1."""
    parent = root if number < 20 else folder_path(root, number // 20 - 1)
    return f"{parent}/d{number}"


def write_file(path: str, flags: int, text: bytes = TEXT) -> None:
    """Open, write once, close."""
    fd = os.open(path, flags | os.O_WRONLY, 0o644)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def make_tree(root: str, folders: int, files: int) -> None:
    """Make the folders, and spread the files over them."""
    for i in range(folders):
        path = folder_path(root, i)
        os.mkdir(path)
        for j in range(i, files, folders):
            write_file(f"{path}/f{j}", os.O_CREAT | os.O_EXCL, b"")


def work(what: str, root: str, folders: int, count: int, rate: float) -> None:
    """Do ``count`` operations, ``rate`` of them a second; 0 is flat out."""
    start = time.monotonic()
    for i in range(count):
        if rate:
            time.sleep(max(0.0, start + i / rate - time.monotonic()))
        path = f"{root}/d{i % folders}/f{i}"
        renamed = f"{root}/d{i % folders}/r{i}"
        match what:
            case "create":
                write_file(path, os.O_CREAT | os.O_EXCL)
            case "append":
                write_file(path, os.O_APPEND)
            case "rename":
                os.rename(path, renamed)
            case _:
                os.unlink(renamed)


def main() -> None:
    """Do what the arguments say and print the seconds it took."""
    what, root, folders, count, *rest = sys.argv[1:]
    start = time.monotonic()
    if what == "tree":
        make_tree(root, int(folders), int(count))
    else:
        work(what, root, int(folders), int(count), float(rest[0]) if rest else 0.0)
    print(f"{time.monotonic() - start:.6f}")


if __name__ == "__main__":
    main()
