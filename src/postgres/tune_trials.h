// The trials of a search as the catalogue knows them (csp.search_trial): a row for each rung that one has reached. Waiting;
// started, which is to say that its run tells; or how its run has ended. The trials of the first rung are drawn when the search
// begins, those of the next are written when a rung has ended. Functions here need an active transaction and an
// active SPI connection.
#pragma once

#include "pg.h"

#include "tune_search.h"

namespace csp::server {

// A trial that is started, and its run as it stands.
struct StartedTrial {
    int32 trial = 0, rung = 0;
    int64 run = 0;           // 0: it has been deleted
    std::string state;       // of the run; crashed if it says running and nobody works on it
    std::string sqlstate;
    int32 resumed = 0;

    bool goes_on() const { return state == "queued" || state == "running"; }
};
std::vector<StartedTrial> started_trials(int64 search);

// Writes down how the run of a trial has ended, and the value that it has come to.
void record_end(int64 search, const StartedTrial &trial);

// Finds the best trial so far, and keeps its model and no other.
void find_best(int64 search);

// Queues runs for the first trials that wait, up to `most`, each with the budget of its rung: new ones, or those that they
// had before the search was resumed. Returns how many there were.
int32 queue_waiting_trials(const Search &search, int32 most);

// The best trials of a rung that has ended begin anew in the next, with its number of epochs: schedules and warm-up go by that
// number, so a trial that went on from its weights would not be the run of its options. False if there is no next rung, or
// nobody to reach it.
bool begin_next_rung(Search &search);

// Of a search that has ended: writes down how its trials have.
void settle_trials(int64 search);

// Trials of the rung that have not succeeded wait again. Throws SqlError(object_not_in_prerequisite_state) while one still ends.
void wait_for_trials_again(int64 search);

}  // namespace csp::server
