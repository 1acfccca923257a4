"""What became of the jobs of a run."""

from dataclasses import dataclass, field

from client.jobs import Job


@dataclass(frozen=True)
class Written:
    """A job that is done, with what the server said of its picture."""

    job: Job
    seed: int
    nsfw: bool


@dataclass
class Report:
    """The jobs so far, by what became of them; those in no list are not done."""

    written: list[Written] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)

    def summary(self, jobs: int) -> str:
        """A line or more about a run of so many jobs."""
        if jobs == 1 and self.written:
            lines = [f"Wrote {self.written[0].job.output}, seed {self.written[0].seed}."]
        elif jobs == 1 and self.skipped:
            lines = [f"{self.skipped[0].output} exists; --overwrite makes it again."]
        else:
            counts = {
                "upscaled": len(self.written),
                "skipped because they exist": len(self.skipped),
                "failed": len(self.failed),
                "not done": jobs - len(self.written) - len(self.skipped) - len(self.failed),
            }
            told = [f"{count} {what}" for what, count in counts.items() if count]
            lines = [", ".join(told) + "."]
        flagged = [str(written.job.output) for written in self.written if written.nsfw]
        if flagged:
            lines.append(f"Flagged by the safety checker: {', '.join(flagged)}.")
        return "\n".join(lines)
