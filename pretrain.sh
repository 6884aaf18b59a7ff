#!/usr/bin/env bash
# How the weights in pretrained/ were made: 2 hours of recorded play, then three models, each alone (hours: idm), then
# what joins two of them.
# Usage: bash pretrain.sh [FOLDER]      FOLDER gets idm/, base/, words/ and joints/ (default: pretrained)
set -euo pipefail
cd "$(dirname "$0")"

out=${1:-pretrained}
data=data/pretrain
run=runs/pretrained
export OMP_NUM_THREADS=1      # the last two trainings run side by side, a core each

# 13 channels whose numbers start at 18: the sample's channels 0..6 are strangers to them
python -m data_gathering.demonstrate --out $data/3_video --channels 13 --first-channel 18 --episodes 11 --seconds 51 --seed 2
python -m data_gathering.shard --recordings $data/3_video --labels truth --out $data/6_shards
[ -e $data/narration.txt ] || python -m data_gathering.demonstrate --text-only 300000 --out $data/narration.txt --seed 2

common="--runs $run --accumulate 1 --warmup 50 --no-progress"
python train.py words --name words-narration $common --videos "" --text $data/narration.txt \
    --steps 1200 --lanes 16 --chunk 64 --rate-new 2e-3 --validate-every 200 --save-every 300
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
python train.py base --name base-pixels $play --steps 2800 --lanes 32 --chunk 4 --rate-new 5e-4 --heads-rate 2 \
    --picture-rate 0.2
wait

# The rest from the trunk's cached outputs, 20 minutes on two cores, on the first 8 episodes of each channel: the agent
# learns to feel what it did; the language model to talk as in play; then words to ask frames, and frames to ask words,
# the two models staying as they are.
export OMP_NUM_THREADS=2
(cd $data/3_video; ls *-0[0-7].mp4 | sed 's/.mp4//') > $data/first_8.txt
python -m data_gathering.shard --recordings $data/3_video --labels truth --out $data/8_shards --only $data/first_8.txt
played="$common --held-out ch29 ch30 --shards $data/8_shards --lanes 16"
short="--warmup 20 --validate-every 50 --save-every 50"
felt="--chunk 64 --trunk frozen"
python train.py base --name base-hand $played $felt --start $run/base-pixels --last-action --drop-last-action 0.3 \
    --steps 1500 --rate-pretrained 1e-3 --validate-every 250 --save-every 250
python train.py base --name base $played $felt --start $run/base-hand --drop-last-action 0.4 --weight-decay 0.05 \
    --steps 2400 --rate-pretrained 7e-4 --validate-every 300 --save-every 300 --export $out/base
python train.py words --name words $common --start $run/words-narration --videos $data/3_video --held-out ch29 ch30 --warmup 20 \
    --steps 60 --lanes 8 --chunk 64 --rate-pretrained 3e-4 --validate-every 20 --export $out/words
python train.py language --name joints-language $played $short --base $run/base-hand --language $run/words \
    --no-train-language --steps 150 --chunk 128 --rate-new 1e-3
python -m vlpt.write_joints --model $run/joints-language --out $run/joints-language/joints
python train.py action --name joints $played $short --base $run/base --language $run/words \
    --joints $run/joints-language/joints --steps 400 --chunk 64 --rate-new 1e-3 --rate-pretrained 1e-9 \
    --drop-last-action 0.4 --drop-words 0.1
python -m vlpt.write_joints --model $run/joints --out $out/joints

for part in idm base words joints; do cp $run/$part/{options.json,log.jsonl,done.json} $out/$part/; done
for earlier in idm-first idm-mirror base-pixels base-hand words-narration joints-language; do
    for file in options.json log.jsonl done.json; do
        cp $run/$earlier/$file $out/${earlier%%-*}/${file%.*}_${earlier#*-}.${file##*.}
    done
done
