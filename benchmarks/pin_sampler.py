"""Writes the sha256 of each shipped sampler into its row of weights.toml. Run it after training a new sampler.

python benchmarks/pin_sampler.py
"""

from __future__ import annotations

import re

from nsnet_cli.weights.checkpoint import MODEL_FILE, row_sampler
from nsnet_cli.weights.memory import sha256_of
from nsnet_cli.weights.registry import load_registry, registry_path


def main() -> None:
    path = registry_path()
    text = path.read_text(encoding="utf-8")
    for row in load_registry(path).checkpoints.values():
        folder, _, note = row_sampler(row)
        if folder is None:
            print(f"{row.name}: {note}")
            continue
        digest = sha256_of(folder / MODEL_FILE)
        table = re.compile(rf"(?ms)^\[checkpoints\.{re.escape(row.name)}\]\n.*?(?=^\[|\Z)")
        body = table.search(text)
        assert body is not None, row.name
        kept = re.sub(r"(?m)^sampler_sha256 = .*\n", "", body[0])
        text = text.replace(body[0], re.sub(r"(?m)^(sampler = .*)\n", rf'\1\nsampler_sha256 = "{digest}"\n', kept))
        print(f"{row.name}: {digest}")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
