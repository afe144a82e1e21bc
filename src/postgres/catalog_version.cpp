// What pg_extension says, beside what the library was built as.
#include "catalog_version.h"

#include "catalog.h"
#include "guard.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace csp::server {

namespace {

// As CREATE EXTENSION or ALTER EXTENSION UPDATE left it; "" without csp_ext. PostgreSQL has no cache of extensions.
std::string installed_version() {
    return server_call([] {
        Relation extensions = table_open(ExtensionRelationId, AccessShareLock);
        ScanKeyData key;
        ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("csp_ext"));
        SysScanDesc scan = systable_beginscan(extensions, ExtensionNameIndexId, true, nullptr, 1, &key);
        HeapTuple tuple = systable_getnext(scan);
        bool is_null = true;
        Datum version = HeapTupleIsValid(tuple)
                            ? heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(extensions), &is_null)
                            : Datum(0);
        const char *found = is_null ? "" : TextDatumGetCString(version);
        systable_endscan(scan);
        table_close(extensions, AccessShareLock);
        return found;
    });
}

}  // namespace

bool catalog_is_current() {
    static uint64 found_current = 0;  // under this generation of the catalogue
    if (found_current != catalog_generation() && installed_version() == CSP_EXT_VERSION)
        found_current = catalog_generation();
    return found_current == catalog_generation();
}

void require_current_catalog() {
    if (!catalog_is_current())
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "this needs csp_ext " CSP_EXT_VERSION ", and the database has version " + installed_version(), {},
                       "Run ALTER EXTENSION csp_ext UPDATE. Sessions that are older than an update must connect anew.");
}

}  // namespace csp::server
