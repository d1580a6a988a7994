#!/usr/bin/env bash
# Writes catalogue.json.gz anew, from the price list given, or else from the one that a release of LiteLLM carries. Fetched
# with pip, from wherever that is set up to fetch; nothing of the release is run or installed.
#
#     operator/data/catalogue.sh [model_prices_and_context_window.json]
#     LITELLM=1.110.0 operator/data/catalogue.sh      # another release
set -euo pipefail

build=$(dirname "$0")/build.py
if [ $# -gt 0 ]; then
  exec python3 "$build" "$1"
fi
release=${LITELLM:-1.109.1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "fetching the price list of LiteLLM $release" >&2
# Wherever this runs: the list is the same in every wheel, and this kind there always is.
python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 --implementation cp --abi abi3 \
  --platform manylinux_2_28_x86_64 --dest "$folder" "litellm==$release"
python3 -m zipfile -e "$folder"/litellm-*.whl "$folder/wheel"
python3 "$build" "$folder/wheel/litellm/model_prices_and_context_window_backup.json"
