// Asks the server's cache of the tables that subscriptions have.
#include "subscription.h"

#include "guard.h"

extern "C" {
#include "catalog/namespace.h"
#include "utils/catcache.h"
#include "utils/syscache.h"
}

namespace csp::server {

bool is_subscribed(const char *table) {
    return server_call([table] {
        const Oid schema = get_namespace_oid("csp", true);
        const Oid relation = OidIsValid(schema) ? get_relname_relid(table, schema) : InvalidOid;
        CatCList *subscriptions = SearchSysCacheList1(SUBSCRIPTIONRELMAP, ObjectIdGetDatum(relation));
        const bool found = subscriptions->n_members > 0;
        ReleaseSysCacheList(subscriptions);
        return found;
    });
}

void require_own_runs(const std::string &function) {
    if (is_subscribed("run"))
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "cannot execute " + function + " where csp.run comes by logical replication",
                       "The training runs of this database are those of another server.",
                       "Train there; or publish the tables of models without csp.run. See doc/operate.md.");
}

}  // namespace csp::server
