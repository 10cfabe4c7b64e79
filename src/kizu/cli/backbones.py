"""`kizu backbones`"""

import json
from typing import Annotated, Any

from kizu.cli.printing import say, say_text
from kizu.tasks.options import Flag


def backbones(
    as_json: Annotated[bool, Flag("Print the result as JSON on stdout.", ("--json",))] = False,
) -> None:
    """List the networks whose features can be used, their layers and licences."""
    from kizu.backbones import BACKBONES
    from kizu.backbones.store import load_backbone
    from kizu.core.errors import MissingExtraError

    rows = []
    for name, entry in BACKBONES.items():
        row: dict[str, Any] = {"name": name, "summary": entry.summary}
        try:
            spec = load_backbone(name).spec
        except MissingExtraError as error:
            row |= {"missing": error.hint or error.message}
        else:
            row |= {
                "licence": spec.licence,
                "source": spec.source,
                "weights_sha256": spec.weights_sha256,
                "layers": [{"name": x.name, "stride": x.stride, "dim": x.dim} for x in spec.layers],
            }
        rows.append(row)
    if as_json:
        say_text(json.dumps(rows, indent=2))
        return
    for row in rows:
        say(f"{row['name']}: {row['summary']}")
        if "missing" in row:
            say(f"    not installed: {row['missing']}")
            continue
        say(f"    licence {row['licence']}, from {row['source']}")
        say("    " + "  ".join(f"{x['name']} (1/{x['stride']}, {x['dim']})" for x in row["layers"]))
    say("Any ONNX file with named feature outputs works too: --backbone path/to/network.onnx")
