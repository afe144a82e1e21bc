// What the participants of a bulk job share, in dynamic shared memory or, for a session that works alone, in its own.
#pragma once

#include "bulk_piece.h"

extern "C" {
#include "port/atomics.h"
#include "storage/dsm.h"
}

namespace csp::server {

// Workers begin absent. One that finds itself dismissed has come too late, and ends.
enum ParticipantState : uint32 {
    participant_absent,
    participant_dismissed,
    participant_working,
    participant_done,
    participant_failed
};

// Texts are written by the participant before it sets its last state, and read after that.
struct BulkParticipant {
    pg_atomic_uint32 state;
    int sqlstate;
    char message[512];
    char detail[1024];
    char hint[512];
    char examples[512];
};

// The session is participant 0. The description of the job follows the participants.
struct BulkShared {
    pg_atomic_uint32 next_piece;
    pg_atomic_uint32 stop;  // nobody takes another piece
    pg_atomic_uint64 rows;
    pg_atomic_uint64 invalid;
    uint32 pieces;
    int participants;
    std::size_t job_size;
    BulkParticipant participant[FLEXIBLE_ARRAY_MEMBER];

    static std::size_t size(int participants, std::size_t job_size) {
        return offsetof(BulkShared, participant) + participants * sizeof(BulkParticipant) + job_size;
    }
    char *job() { return reinterpret_cast<char *>(participant + participants); }

    // Leaves the state absent for another; false if it was not absent any more.
    bool leave_absence(int number, ParticipantState state) {
        uint32 expected = participant_absent;
        return pg_atomic_compare_exchange_u32(&participant[number].state, &expected, state);
    }

    std::optional<uint32> take_piece();
    void add(int number, const PieceResult &result);
    void fail(int number, int sqlstate, const std::string &message, const std::string &detail, const std::string &hint);
};

// What a worker needs to know to begin; travels in bgw_extra.
struct BulkWorkerArguments {
    Oid database;
    Oid user;
    dsm_handle segment;
    int number;
};

}  // namespace csp::server
