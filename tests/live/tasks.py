"""The same as tasks of Celery, with folders for a broker. As a program, it sends the tasks that lines of its standard input name.

Celery's worker ends when it finds a message that is not written to its end: what is sent is written elsewhere, and moved when it is whole.
"""
import os
import sys

import celery
import app

folder = os.path.dirname(os.path.abspath(__file__))
tasks = celery.Celery("tasks", broker="filesystem://")
queue = os.path.join(folder, "queue")
written = os.path.join(folder, "written")
for one in queue, written:
    os.makedirs(one, exist_ok=True)
tasks.conf.broker_transport_options = {
    "data_folder_in": queue,
    "data_folder_out": written,
    "control_folder": os.path.join(folder, "control"),
}
tasks.conf.worker_redirect_stdouts = False
# A worker that is traced on a busy machine takes its time to come up.
tasks.conf.worker_proc_alive_timeout = 600
tasks.conf.worker_hijack_root_logger = False


@tasks.task(name="act", ignore_result=True)
def act(what):
    app.ACTS[what]()
    os.write(1, b"%d\n" % os.getpid())


if __name__ == "__main__":
    for line in sys.stdin:
        act.delay(line.strip())
        for name in os.listdir(written):
            os.rename(os.path.join(written, name), os.path.join(queue, name))
