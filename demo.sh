#!/usr/bin/env bash
# The main job, end to end: `make demo`. Every line is a program of its own, run as a person would, and skips what is done.
# SCRATCH=1 records play and trains everything anew instead of starting from data_gathering/samples and pretrained.
set -euo pipefail
cd "$(dirname "$0")"

run=runs/demo
recordings=data_gathering/samples
pretrained=pretrained
held_out="ch4 ch5"            # channels that nothing is trained on
contractors="ch0"             # the channel whose true keys the inverse dynamics model may see
mkdir -p $run
from() { if [ -e "$pretrained/$1/config.json" ]; then echo "--start $pretrained/$1"; fi; }   # from nothing otherwise
[ -e $run/started ] || date +%s > $run/started

if [ -n "${SCRATCH:-}" ]; then
    recordings=data/3_video
    pretrained=runs/scratch
    python -m data_gathering.demonstrate --out $recordings --channels 6 --episodes 4 --seconds 50 --seed 1
    bash pretrain.sh $pretrained
fi
data="--shards data/6_shards --held-out $held_out"
parts="--base $run/base --language $run/words"
# Small models on little data: many small updates, at larger rates than the published ones.
joined="$data --lanes 8 --chunk 64 --accumulate 1 --rate-new 1e-3 --rate-pretrained 1e-4 --validate-every 50 --drop-words 0.1"
gently="--rate-new 1e-4 --rate-pretrained 2e-5 --rate-gates 1e-3"   # 13 minutes of play are soon known by heart

# ---- 1. which keys were pressed? an inverse dynamics model learns it from one channel and labels all others
python -m data_gathering.shard --recordings $recordings --labels truth --out data/truth_shards
python train.py --stage idm --runs $run --name idm $(from idm) --shards data/truth_shards \
    --train-on $contractors --held-out $held_out --steps 50 --lanes 4 --accumulate 1 --rate-new 5e-5 --mirror --validate-every 0
python -m data_gathering.label --idm $run/idm/checkpoint/model --videos $recordings --out data/5_actions --mirror
python -m data_gathering.shard --recordings $recordings --labels data/5_actions --out data/6_shards

# ---- 2. the two models to be joined, fitted to this play: one that acts, one that speaks
python train.py --stage base --runs $run --name base $(from base) $data --steps 50 \
    --lanes 16 --chunk 32 --accumulate 1 --rate-pretrained 1e-4 --validate-every 0
python train.py --stage words --runs $run --name words $(from words) --videos $recordings \
    --held-out $held_out --rate-pretrained 4e-4 --steps 40 --lanes 4 --chunk 64 --accumulate 1

# ---- 3. join them: words ask frames, frames ask words, both
python train.py --stage language --runs $run --name language $parts $joined --rate-pretrained 4e-4 --steps 200
python train.py --stage action --runs $run --name action --start $run/language $joined --steps 150
python train.py --stage joint --runs $run --name joint --start $run/action $joined --steps 50 $gently

# ---- 4. two controls: words that name the actions must matter, words of other episodes must not
python train.py --stage action --runs $run --name oracle --words oracle $parts $joined --steps 200
python train.py --stage action --runs $run --name shuffled --words shuffled $parts $joined --steps 200

# ---- 5. do words steer actions, do frames shape words? then play, and show everything
[ -e $run/evaluation.json ] || python evaluate.py --runs $run $data --out $run/evaluation.json
[ -e $run/watched.mp4 ] || python -m vlpt.play --model $run/joint --recording $recordings/ch5-01.mp4 --seconds 40 \
    --out $run/watched.mp4
[ -e $run/play.mp4 ] || python -m vlpt.play --model $run/joint --world luanti --seed 3 --seconds 40 \
    --hear "let's chop a tree" --out $run/play.mp4
python -m vlpt.show.report --run $run --out $run/report.html
