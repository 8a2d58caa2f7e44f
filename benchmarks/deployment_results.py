"""Sections of docs/results.md about deployment: speed beside the teacher, the server under load, the resize in a graph."""

from typing import Any

MILLION, BILLION = 1e6, 1e9


def inference(result: dict[str, Any]) -> str:
    lines = [
        f"## Speed and memory: {result['architecture']}, {result['image_side']} → {result['thumbnail_side']} px\n",
        f"`thumbnet benchmark`'s measurement, random weights; {result['threads']} threads, {result['rounds']} rounds of {result['seconds']:g} s each in turn, medians;",
        "ratios to the teacher of the same round, engine and precision (smallest and largest round in brackets). Memory is what",
        f"answering adds to the loaded networks, at the batch in brackets. JPEG files of {result['jpeg_bytes'] / 1e3:.0f} kB.\n",
        "| from | engine | batch | images/s | median, ms | p99, ms | times the teacher's rate | MACs | memory, MB | of the teacher's |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["rows"]:
        low, high = row["ratio_range"]
        is_teacher = row["way"].startswith("teacher")
        ratio = "" if is_teacher else f"{row['ratio']:.1f} ({low:.1f}–{high:.1f})"
        memory = (
            "" if row["inference_memory_mb"] is None else f"{row['inference_memory_mb']:,.0f} ({row['memory_batch']})"
        )
        share = "" if is_teacher or row["memory_ratio"] is None else f"{row['memory_ratio']:.2f}"
        macs = row["macs"]
        lines.append(
            f"| {row['way']} | {row['engine']} {row['precision']} | {row['batch']} | {row['images_per_second']:,.1f} "
            f"| {row['median_ms']:,.2f} | {row['p99_ms']:,.2f} | {ratio} "
            f"| {macs / BILLION:.2f} G | {memory} | {share} |"
        )
    return "\n".join([*lines, ""])


def server(result: dict[str, Any]) -> str:
    lines = [
        "## The server under load\n",
        f"Loopback; the client ({result['client']}) takes its part of the same cores. Saturation is the best of several numbers",
        "of requests at a time; at twice saturation requests come at twice that rate, whether or not the ones before are answered.\n",
        "| body | bytes | | at a time | images/s | median, ms | p99, ms | answered | told to come again (503) | unanswered |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, measured in result["kinds"].items():
        for name, row in (("saturation", measured["saturation"]), ("twice", measured["twice"])):
            answered = row["answered"]
            lines.append(
                f"| {kind} | {measured['bytes']:,.0f} | {name} | {row.get('concurrency', 'open')} | {row['images_per_second']:,.0f} "
                f"| {row['median_ms']:,.1f} | {row['p99_ms']:,.1f} | {answered.get('200', 0):,} | {answered.get('503', 0):,} | {row['unanswered']} |"
            )
    many = result["many"]
    lines += [
        "",
        f"Over {many['requests']:,} requests the server's memory went from {many['memory_mb'][0]:,.0f} to {many['memory_mb'][-1]:,.0f} MB"
        f" ({many['growth']:.3f} times), at most {max(many['memory_mb']):,.0f}.\n",
    ]
    return "\n".join(lines)


def cold_start(result: dict[str, Any]) -> str:
    steps = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in result["median_seconds"].items())
    return (
        "## Cold start of the runtime without torch\n\n"
        f"From a new process's first import to its first answer, graphs of {result['graphs_mb']:.1f} MB: median"
        f" {result['median_total_seconds']:.2f} s of {result['repeats']}, at most {result['largest_total_seconds']:.2f} s ({steps}).\n"
    )
