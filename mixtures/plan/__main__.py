"""Print where a row of a plan comes from: `python -m mixtures.plan STORE mix/pretrain 0`."""

from mixtures.plan.rows import main

main()
