#!/usr/bin/env bash
# How the weights in pretrained/ were made: hours of recorded play, then three models, each alone. About two hours.
# Usage: bash pretrain.sh [FOLDER]      FOLDER gets idm/, base/ and words/ (default: pretrained)
set -euo pipefail
cd "$(dirname "$0")"

out=${1:-pretrained}
data=data/pretrain
run=runs/pretrain
common="--held-out ch30 --runs $run --save-every 50"

# 13 channels, 2.2 hours; their numbers start at 18, so the sample's channels 0..5 are strangers to them
python -m data_gathering.demonstrate --out $data/3_video --channels 13 --first-channel 18 --episodes 12 --seconds 51 --seed 2
python -m data_gathering.shard --recordings $data/3_video --labels truth --out $data/6_shards
python -m data_gathering.demonstrate --text-only 200000 --out $data/narration.txt --seed 2

python train.py --stage words --name words $common --videos $data/3_video --text $data/narration.txt \
    --steps 1500 --lanes 16 --chunk 128 --accumulate 1 --rate-new 1e-3 --export $out/words
python train.py --stage idm --name idm $common --shards $data/6_shards \
    --steps 1000 --lanes 2 --accumulate 1 --rate-new 1e-3 --validate-every 0 --export $out/idm
python train.py --stage base --name base $common --shards $data/6_shards \
    --steps 500 --lanes 4 --accumulate 1 --rate-new 1e-3 --validate-every 0 --export $out/base
for part in words idm base; do cp $run/$part/options.json $run/$part/log.jsonl $out/$part/; done
