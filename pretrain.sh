#!/usr/bin/env bash
# How the weights in pretrained/ were made: recorded play, then three models, each alone (hours: idm), then what joins two
# of them. What is there came about in rounds: idm and base up to base-felt on two hours of an earlier player's play in 13
# channels (its logs say with which options), the rest on the corpus that is made here.
# Usage: bash pretrain.sh [FOLDER]      FOLDER gets idm/, base/, words/, joints/ and agent/ (default: pretrained)
set -euo pipefail
cd "$(dirname "$0")"

out=${1:-pretrained}
data=data/corpus
run=runs/pretrained
export OMP_NUM_THREADS=1      # some trainings run side by side, a core each

# The first three recordings of each channel of `make corpus`, 2.8 hours in 56 channels, four of which are held out; those
# from ch156 on are for reporting, and nobody looks at them here. The sample's channels 0..6 are strangers to all.
make corpus
(cd $data/3_video; ls ch1[0-4]?-0[0-2].mp4 ch15[0-5]-0[0-2].mp4 | sed 's/.mp4//') > $data/first.txt
[ -e $data/6_shards/meta/info.json ] || \
    python -m data_gathering.shard --recordings $data/3_video --labels truth --out $data/6_shards --only $data/first.txt
[ -e $data/narration.txt ] || python -m data_gathering.demonstrate --text-only 300000 --out $data/narration.txt --seed 3

common="--runs $run --accumulate 1 --no-progress"
chosen_on="ch152 ch153 ch154 ch155"
play="$common --warmup 50 --held-out $chosen_on --shards $data/6_shards --save-every 200"
python train.py words --name words-narration $common --warmup 50 --videos "" --text $data/narration.txt \
    --steps 1000 --lanes 16 --chunk 64 --rate-new 2e-3 --validate-every 200
# idm in three rounds, as it came about: 4.5 minutes on one H100 (with --resident; on a processor four hours), clips as in
# a mirror (26 minutes on a core), then attention that knows the order of frames (66 minutes on a core with AMX). The last
# line by itself, without --start and with --rate-new 7e-4 --heads-rate 5, comes nearly as far (docs/log.md).
idm="$play --chunk 128 --validate-every 0"
fast=$(grep -q amx_bf16 /proc/cpuinfo && echo "--precision bfloat16" || true)
(python train.py idm --name idm-first $idm --steps 2600 --lanes 8 --rate-new 1.5e-3 --heads-rate 5 --max-distance 0
python train.py idm --name idm-mirror $idm --start $run/idm-first --steps 1100 --lanes 2 --rate-new 3e-4 \
    --heads-rate 3 --max-distance 0 --mirror
python train.py idm --name idm $idm --start $run/idm-mirror --steps 2800 --lanes 2 --warmup 20 --rate-new 5e-4 \
    --heads-rate 3 --mirror $fast --export $out/idm) &
python train.py base --name base-pixels $play --validate-every 0 --steps 2800 --lanes 32 --chunk 4 --rate-new 5e-4 \
    --heads-rate 2 --picture-rate 0.2
wait

# The rest from the trunk's cached outputs (made in 8 minutes on two cores): the agent learns to feel what it did, then to
# see what moves; the language model to talk as in play.
export OMP_NUM_THREADS=2
felt="$play --lanes 16 --chunk 64 --trunk frozen"
python train.py base --name base-hand $felt --start $run/base-pixels --last-action --drop-last-action 0.3 \
    --steps 1500 --rate-pretrained 1e-3 --validate-every 250
python train.py base --name base-felt $felt --start $run/base-hand --drop-last-action 0.4 --weight-decay 0.05 \
    --steps 2400 --rate-pretrained 7e-4 --validate-every 300
python train.py base --name base $felt --start $run/base-felt --motion-from $out/idm --drop-last-action 0.4 \
    --weight-decay 0.05 --steps 2000 --rate-pretrained 7e-4 --validate-every 250 --export $out/base
python train.py words --name words $common --start $run/words-narration --videos $data/3_video --held-out $chosen_on \
    --test $(seq -f "ch%g" 156 171) --warmup 20 --steps 60 --lanes 16 --chunk 64 --rate-pretrained 3e-4 \
    --validate-every 20 --export $out/words

# What joins them, from all recordings of 52 channels, 8.7 hours: words ask frames; frames ask the ticks that hear a word,
# and read off these what will be done soon. The two models stay as they are. Three seeds, each also without the signal
# that is asked about, are what `make evidence` compares; the agent goes on from the first.
parts=$data/8_shards
(cd $data/3_video; ls ch1[0-5]?-0[0-6].mp4 | sed 's/.mp4//') > $data/many.txt
(cd $data/3_video; ls ch1[0-4]?-0[7-9].mp4 ch15[0-5]-0[7-9].mp4 | sed 's/.mp4//') > $data/rest.txt
(cd $data/3_video; ls ch1[67]?-0?.mp4 | sed 's/.mp4//') > $data/test.txt
for part in many rest test; do
    place=$([ $part = test ] && echo $data/test_shards || echo $parts/$part)
    [ -e $place/meta/info.json ] || \
        python -m data_gathering.shard --recordings $data/3_video --labels truth --out $place --only $data/$part.txt
done
mkdir -p $data/9_shards && ln -sfn ../8_shards/many ../8_shards/rest ../test_shards $data/9_shards/
learn="--accumulate 1 --no-progress --shards $parts --held-out $chosen_on --test ch156 ch157 ch158 ch159 --save-every 100"
gently="--weight-decay 0.1 --intention-decay 0.03 --drop-last-action 0.4"
act="--no-train-agent --rate-new 2e-3 --rate-gates 2e-2 $gently --warmup 30 --lanes 48 --chunk 32"
for seed in 0 1 2; do
    seeds=runs/seeds/$seed
    mkdir -p $seeds && ln -sfn ../../../$run/base ../../../$run/words $seeds/
    speak="$learn --runs $seeds --seed $seed --base $out/base --language $out/words --no-train-language
        --frames-ask words --warmup 20 --steps 400 --lanes 16 --chunk 128 --rate-new 1e-3 --validate-every 200"
    python train.py language --name language $speak
    python train.py language --name without_frames $speak --frames blank
    do_it="$learn --runs $seeds --seed $seed --start $seeds/language $act --steps 600 --validate-every 300"
    python train.py action --name action $do_it --drop-words 0.1
    python train.py action --name without_words $do_it --words silence
    python train.py joint --name joint $learn --runs $seeds --seed $seed --start $seeds/action --no-train-language \
        --no-train-agent --rate-new 2e-4 --rate-gates 2e-3 $gently --drop-words 0.1 --warmup 10 --steps 100 \
        --lanes 16 --chunk 128 --validate-every 100
done
python train.py action --name agent-action $learn --runs $run --seed 3 --start runs/seeds/0/joint $act --steps 1000 \
    --drop-words 0.1 --validate-every 500
# Longer, and silence with a weight for each tick since the last word, which the seeds' runs did not have yet.
speak="$learn --runs $run --no-train-language --warmup 10 --lanes 16 --chunk 128 --rate-new 1e-3 --rate-gates 2e-3
    --drop-last-action 0.4"
python train.py language --name agent-words $speak --seed 3 --start $run/agent-action --steps 250 --validate-every 125
python train.py language --name agent $speak --seed 4 --start $run/agent-words --steps 400 --validate-every 200
python -m vlpt.write_joints --model $run/agent --out $out/joints
mkdir -p $out/agent      # whose config.json names these three as its parts
[ $out = pretrained ] || cp pretrained/agent/config.json $out/agent/
[ $out = pretrained ] || cp pretrained/agent/sampling.json $out/agent/
cp $out/words/tokenizer.json $out/agent/

keep() {    # run, folder, what its files' names get
    for file in options.json log.jsonl done.json; do cp $1/$file $2/${file%.*}$3.${file##*.}; done
}
for part in idm base words; do keep $run/$part $out/$part ""; done
keep $run/agent $out/joints ""
for earlier in action words; do keep $run/agent-$earlier $out/joints _$earlier; done
for earlier in idm-first idm-mirror base-pixels base-hand base-felt words-narration; do
    keep $run/$earlier $out/${earlier%%-*} _${earlier#*-}
done
for run_of_seed in runs/seeds/?/*/; do    # what each seed was asked and found; of their logs, those that led to the agent
    of=${run_of_seed#runs/}
    [ ! -L ${run_of_seed%/} ] || continue
    mkdir -p $out/joints/$of && cp $run_of_seed/{options.json,done.json} $out/joints/$of
done
for stage in language action joint; do cp runs/seeds/0/$stage/log.jsonl $out/joints/seeds/0/$stage/; done
