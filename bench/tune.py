#!/usr/bin/env python3
"""Two trials of csp_tune at a time, beside one after the other, in turns: the same search, the same trials, as ratios of
the time that the searches take. Run by hand against a server with csp_ext and the sample data (data/load.sql), whose
csp.max_training_workers is 2 or more; on a machine whose cores do nothing else.

    bench/tune.py [quick]
"""
from batch import QUICK, connect, in_turns, report, seconds_of, value_of

ROUNDS = 2 if QUICK else 5
TRIALS = 4
EPOCHS = 4 if QUICK else 20


def search(connection, parallel):
    """Trials of equal cost: what is searched changes no size."""
    return seconds_of(connection, f"""
        CALL csp_tune('tuned', 'observations', 'geom', 'features', 'label',
                      search => '{{"dropout": {{"min": 0, "max": 0.3}}}}', trials => {TRIALS}, parallel => {parallel},
                      options => '{{"pretrain_epochs": {EPOCHS}, "epochs": {EPOCHS}}}')""")


def main():
    connection = connect(client_min_messages="warning")
    times = in_turns(ROUNDS, one=lambda: search(connection, 1), two=lambda: search(connection, 2))
    print(f"{'least, median, most':>95}")
    report("seconds, one trial at a time", times["one"])
    report("seconds, two at a time", times["two"])
    report("two at a time / one at a time, speed", [one / two for one, two in zip(times["one"], times["two"])])
    same = value_of(connection, "SELECT count(DISTINCT (trial, value, validation_loss)) FROM csp.trials t WHERE t.search IN "
                                f"(SELECT id FROM csp.searches ORDER BY id DESC LIMIT {2 * ROUNDS})")
    print(f"results that differ between searches: {same - TRIALS}")


if __name__ == "__main__":
    main()
