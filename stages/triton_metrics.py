"""The loop's counts in Triton's own /metrics."""

import time

import triton_python_backend_utils as pb_utils

from stages.loop import DenoiseLoop

INTERVAL_S = 0.1


class Metrics:
    """Gauges of the jobs in the loop and counters of what became of them.

    Each number is a message to the server's process and back, as long as all that denoise does in
    a step. So what changes at every step, the calls of unet, waits for a job that comes or leaves,
    or for INTERVAL_S to pass. Before a job is answered they are up to date.
    """

    def __init__(self) -> None:
        jobs = _family("upscale_denoise_jobs", "Jobs in the denoise loop, by state.", is_gauge=True)
        ended = _family(
            "upscale_denoise_jobs_total", "Jobs that left the denoise loop, by outcome."
        )
        unet = _family(
            "upscale_denoise_unet_total",
            "Calls of unet by the denoise loop, rows in them, and of these those of unet_shallow.",
        )
        unet_seconds = _family(
            "upscale_denoise_unet_seconds_total",
            "Seconds of these calls; on a GPU, until they are launched.",
        )
        self._families = [jobs, ended, unet, unet_seconds]
        self._gauges = {s: jobs.Metric(labels={"state": s}) for s in ("active", "waiting")}
        self._counters = {
            **{
                outcome: ended.Metric(labels={"outcome": outcome})
                for outcome in ("completed", "failed", "cancelled", "expired", "refused")
            },
            **{
                f"unet_{of}": unet.Metric(labels={"of": of})
                for of in ("calls", "rows", "shallow_rows")
            },
            "unet_seconds": unet_seconds.Metric(labels={}),
        }
        self._published: dict[str, float] = dict.fromkeys([*self._gauges, *self._counters], 0)
        self._published_at = float("-inf")

    def publish(self, loop: DenoiseLoop) -> None:
        """Bring the metrics up to date."""
        values = {
            "active": loop.active_count,
            "waiting": loop.waiting_count,
            **vars(loop.counts),
        }
        now = time.monotonic()
        is_due = now - self._published_at >= INTERVAL_S
        if not is_due and all(
            value == self._published[name]
            for name, value in values.items()
            if not name.startswith("unet_")
        ):
            return
        self._published_at = now
        for name, value in values.items():
            change = value - self._published[name]
            if change and name in self._gauges:
                self._gauges[name].set(value)
            elif change:
                self._counters[name].increment(change)
            self._published[name] = value

    def close(self) -> None:
        """Give the metrics back to Triton, each before its family; `publish` may not follow.

        An object that outlives `finalize` tells Triton so through memory that is gone by then,
        and the process ends by SIGSEGV.
        """
        self._gauges.clear()
        self._counters.clear()
        self._families.clear()


def _family(name: str, description: str, *, is_gauge: bool = False) -> "pb_utils.MetricFamily":
    kind = pb_utils.MetricFamily.GAUGE if is_gauge else pb_utils.MetricFamily.COUNTER
    return pb_utils.MetricFamily(name=name, description=description, kind=kind)
