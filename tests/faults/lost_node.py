"""Writes into a file as which failure Ray's own words for a lost worker and a lost node are taken."""

import os
import signal
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from ray.exceptions import RayError

from tuning.failures import death_kind


class Worker:
    """Sits on the node that is taken away."""

    def pid(self) -> int:
        return os.getpid()

    def work(self) -> None:
        time.sleep(60)


def kind_of_death(work: "ray.ObjectRef") -> str:
    try:
        ray.get(work)
    except RayError as error:
        return death_kind(f"{type(error).__name__}: {error}")
    raise SystemExit("the worker lives")


if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    node = cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    actor = ray.remote(num_cpus=1)(Worker)
    workers = [actor.remote() for _ in range(2)]
    pids = ray.get([worker.pid.remote() for worker in workers])
    working = [worker.work.remote() for worker in workers]
    os.kill(pids[0], signal.SIGKILL)
    kinds = [kind_of_death(working[0])]
    cluster.remove_node(node, allow_graceful=True)
    kinds.append(kind_of_death(working[1]))
    ray.shutdown()
    cluster.shutdown()
    Path(sys.argv[1]).write_text(", ".join(kinds))
