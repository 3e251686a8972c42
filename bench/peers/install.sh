#!/bin/sh
# Brings the gateways of others into build/peers, for a race beside ours: python -m bench.peers.race
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/peers
for package in 'litellm litellm[proxy]' 'sglang sglang-router' 'vllm vllm-router'; do
    name=${package%% *}
    [ -d "build/peers/$name" ] || .venv/bin/python -m venv "build/peers/$name"
    "build/peers/$name/bin/pip" install --quiet --disable-pip-version-check "${package#* }"
done
mkdir -p build/peers/portkey
(cd build/peers/portkey && npm install --silent --no-fund --no-audit @portkey-ai/gateway)
command -v nginx >/dev/null || echo "nginx is not installed; the race does without it"
