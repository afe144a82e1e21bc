// What the workers of one training run share, in dynamic shared memory.
#pragma once

#include "pg.h"

extern "C" {
#include "port/atomics.h"
#include "storage/dsm.h"
}

namespace csp::server {

// Further workers begin absent. One that finds itself dismissed has come too late, and ends.
enum CrewMemberState : uint32 { crew_absent, crew_dismissed, crew_working, crew_failed };

// Texts are written by the member before it sets its last state, and read after that.
struct CrewMember {
    pg_atomic_uint32 state;
    pg_atomic_uint32 beats;
    int rank;  // set before the run begins
    char sqlstate[6];
    char message[512];
    char detail[1024];
    char hint[512];

    // Leaves the state absent for another; false if it was not absent any more.
    bool leave_absence(CrewMemberState to) {
        uint32 expected = crew_absent;
        return pg_atomic_compare_exchange_u32(&state, &expected, to);
    }
};

// Member 0 is the run's own worker, which leads.
struct CrewShared {
    pg_atomic_uint32 begun;  // who is absent now is not waited for
    pg_atomic_uint32 ended;  // of itself or by force: everybody ends
    int size;                // members at work
    char meeting_point[MAXPGPATH];
    CrewMember member[FLEXIBLE_ARRAY_MEMBER];

    static std::size_t bytes(int members) { return offsetof(CrewShared, member) + members * sizeof(CrewMember); }
};

// What a further worker needs to know to begin; travels in bgw_extra.
struct CrewMemberArguments {
    Oid database;
    Oid user;
    int64 run;
    dsm_handle segment;
    int number;
};

}  // namespace csp::server
