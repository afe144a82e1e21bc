// Advisory locks.
#include "advisory_lock.h"

#include "guard.h"

namespace csp::server {

LOCKTAG advisory_lock(uint64 id, uint16 lock_class) {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, uint32(id >> 32), uint32(id), lock_class);
    return tag;
}

bool is_held_by_another(const LOCKTAG &tag) {
    return server_call([&] {
        if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
            return true;
        LockRelease(&tag, ShareLock, false);
        return false;
    });
}

}  // namespace csp::server
