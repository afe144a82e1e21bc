// Transactions of a bulk job: each piece of the work is one, within a subtransaction, so that a piece which fails leaves
// a transaction in which something can still be done about it.
#pragma once

#include "pg.h"

#include "guard.h"

namespace csp::server {

// Begins a subtransaction with a snapshot of its own. The memory context stays as it is.
class Subtransaction {
public:
    Subtransaction();
    void commit();
    // The error that ended the subtransaction; its memory outlives the subtransaction.
    ServerError keep(const ServerError &error);
    void roll_back();

private:
    MemoryContext context_;
    ResourceOwner owner_;
};

// Runs body in a subtransaction, which is rolled back if body throws.
template <typename Body>
void in_subtransaction(Body &&body) {
    Subtransaction subtransaction;
    try {
        body();
    } catch (const ServerError &error) {
        ServerError kept = subtransaction.keep(error);
        subtransaction.roll_back();
        throw kept;
    } catch (...) {
        subtransaction.roll_back();
        throw;
    }
    subtransaction.commit();
}

// How transactions end and the next begin. A session is inside CALL, where SPI does that; a worker is its own master.
// Both keep the memory context.
class TransactionControl {
public:
    using Function = void (*)();  // may raise server errors
    constexpr TransactionControl(Function commit, Function roll_back) : commit_(commit), roll_back_(roll_back) {}
    void commit() const { server_call([this] { commit_(); }); }
    void roll_back() const { server_call([this] { roll_back_(); }); }

private:
    Function commit_;
    Function roll_back_;
};
extern const TransactionControl session_transactions;
extern const TransactionControl worker_transactions;

// What every transaction of a job sets first, before anything takes a snapshot in it.
void prepare_transaction();

}  // namespace csp::server
