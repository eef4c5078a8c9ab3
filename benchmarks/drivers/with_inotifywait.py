"""inotifywait: the program of inotify-tools, its lines read; its CPU and memory are what counts."""

import subprocess

from benchmarks.drivers._line import Line, foreign

line = Line()
events = "create,modify,close_write,move,delete"
command = ["inotifywait", "-m", "-r", "-e", events, "--format", "%w%f", line.folder]
program = subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="surrogateescape"
)
foreign(program, line)
line.begin()  # it has begun already; to load a small program takes no time that counts here
for words in program.stderr or ():
    if "Watches established" in words:
        break
line.ready()
for path in program.stdout or ():
    line.tell(path.rstrip("\n"))
