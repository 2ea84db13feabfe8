#!/usr/bin/env bash
# tests/diffusers with the lowest diffusers and transformers that pyproject.toml promises, in an environment of its own.
# Arguments go to pytest. TORCH: which torch to install (default: the newest that pip finds).
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
export PATH="$scratch/venv/bin:$PATH"
lowest=$(grep -oE '(diffusers|transformers)>=[0-9.]+' pyproject.toml | sed 's/>=/==/')
pip install --quiet "torch${TORCH:+==$TORCH}" $lowest -e ".[demo,test]" sentencepiece protobuf
pip list 2>/dev/null | grep -E '^(torch|diffusers|transformers|numpy) '
python -m pytest tests/diffusers "$@"
