#!/usr/bin/env bash
# How the weights in pretrained/ were made: 2 hours of recorded play, then three models, each alone (hours: idm).
# Usage: bash pretrain.sh [FOLDER]      FOLDER gets idm/, base/ and words/ (default: pretrained)
set -euo pipefail
cd "$(dirname "$0")"

out=${1:-pretrained}
data=data/pretrain
run=runs/pretrained
export OMP_NUM_THREADS=1      # the last two trainings run side by side, a core each

# 13 channels whose numbers start at 18: the sample's channels 0..5 are strangers to them
python -m data_gathering.demonstrate --out $data/3_video --channels 13 --first-channel 18 --episodes 11 --seconds 51 --seed 2
python -m data_gathering.shard --recordings $data/3_video --labels truth --out $data/6_shards
[ -e $data/narration.txt ] || python -m data_gathering.demonstrate --text-only 300000 --out $data/narration.txt --seed 2

common="--runs $run --accumulate 1 --warmup 50 --no-progress"
python train.py words --name words $common --videos "" --text $data/narration.txt \
    --steps 1200 --lanes 16 --chunk 64 --rate-new 2e-3 --validate-every 200 --save-every 300 --export $out/words
play="$common --held-out ch30 --shards $data/6_shards --validate-every 0 --save-every 200"
# idm in three rounds, as it came about: 4.5 minutes on one H100 (with --resident; on a processor four hours), clips as in
# a mirror (26 minutes on a core), then attention that knows the order of frames (66 minutes on a core with AMX). The last
# line by itself, without --start and with --rate-new 7e-4 --heads-rate 5, comes nearly as far (docs/log.md).
idm="$play --chunk 128"
fast=$(grep -q amx_bf16 /proc/cpuinfo && echo "--precision bfloat16" || true)
(python train.py idm --name idm-first $idm --steps 2600 --lanes 8 --rate-new 1.5e-3 --heads-rate 5 --max-distance 0
python train.py idm --name idm-mirror $idm --start $run/idm-first --steps 1100 --lanes 2 --rate-new 3e-4 \
    --heads-rate 3 --max-distance 0 --mirror
python train.py idm --name idm $idm --start $run/idm-mirror --steps 2800 --lanes 2 --warmup 20 --rate-new 5e-4 \
    --heads-rate 3 --mirror $fast --export $out/idm) &
python train.py base --name base $play --steps 2800 --lanes 32 --chunk 4 --rate-new 5e-4 --heads-rate 2 \
    --picture-rate 0.2 --export $out/base
wait
for part in words base idm; do cp $run/$part/options.json $run/$part/log.jsonl $run/$part/done.json $out/$part/; done
for round in first mirror; do
    for file in options.json log.jsonl done.json; do cp $run/idm-$round/$file $out/idm/${file%.*}_$round.${file##*.}; done
done
