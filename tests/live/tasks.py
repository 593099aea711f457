"""The same as tasks of Celery, with folders for a broker. As a program, it sends the tasks that lines of its standard input name."""
import os
import sys

import celery
import app

folder = os.path.dirname(os.path.abspath(__file__))
tasks = celery.Celery("tasks", broker="filesystem://")
queue = os.path.join(folder, "queue")
os.makedirs(queue, exist_ok=True)
tasks.conf.broker_transport_options = {
    "data_folder_in": queue,
    "data_folder_out": queue,
    "control_folder": os.path.join(folder, "control"),
}
tasks.conf.worker_redirect_stdouts = False
tasks.conf.worker_hijack_root_logger = False


@tasks.task(name="act", ignore_result=True)
def act(what):
    app.ACTS[what]()
    os.write(1, b"%d\n" % os.getpid())


if __name__ == "__main__":
    for line in sys.stdin:
        act.delay(line.strip())
