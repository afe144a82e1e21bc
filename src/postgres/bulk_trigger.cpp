// csp_embed_trigger: keeps the embedding of a row current as the row is written.
#include "bulk_relation.h"
#include "catalog.h"
#include "geometry.h"
#include "guard.h"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/params.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "utils/datum.h"
#include "utils/rel.h"
}

using namespace csp;
using namespace csp::server;

namespace {

const char *const usage =
    "CREATE TRIGGER ... BEFORE INSERT OR UPDATE ON ... FOR EACH ROW EXECUTE FUNCTION "
    "csp_embed_trigger('location', 'embedding' [, 'model' [, 'version' [, 'observed_at']]]).";

SqlError protocol_violated(const char *message) {
    return SqlError(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, message, {}, usage);
}

TriggerData *trigger_data(FunctionCallInfo fcinfo) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        throw protocol_violated("csp_embed_trigger must be called as a trigger");
    auto *data = reinterpret_cast<TriggerData *>(fcinfo->context);
    if (!TRIGGER_FIRED_BEFORE(data->tg_event))
        throw protocol_violated("csp_embed_trigger must be fired before the event");
    if (!TRIGGER_FIRED_FOR_ROW(data->tg_event))
        throw protocol_violated("csp_embed_trigger must be fired for each row");
    if (!TRIGGER_FIRED_BY_INSERT(data->tg_event) && !TRIGGER_FIRED_BY_UPDATE(data->tg_event))
        throw protocol_violated("csp_embed_trigger must be fired by INSERT or UPDATE");
    if (data->tg_trigger->tgnargs < 2 || data->tg_trigger->tgnargs > 5)
        throw protocol_violated("csp_embed_trigger takes two to five arguments");
    return data;
}

// ---- what a statement finds out once -------------------------------------------------------

// Lives in the memory of the trigger's FmgrInfo.
struct TriggerPlan {
    AttrNumber location, embedding;
    AttrNumber version, observed_at;  // 0: none
    const char *model;                // null: the default
    ParamListInfo parameters;         // location[, observed_at]
    ExprState *expression;            // the embedding, as the column takes it
    ExprContext *context;
};

std::string argument(const Trigger *trigger, int number) {
    return number < trigger->tgnargs ? trigger->tgargs[number] : "";
}

const BulkColumn &require_column(const BulkRelation &relation, const std::string &name) {
    const BulkColumn *column = relation.find(name);
    if (column == nullptr)
        throw SqlError(ERRCODE_UNDEFINED_COLUMN, "column \"" + name + "\" of " + relation.name + " does not exist",
                       "It is an argument of a trigger that calls csp_embed_trigger.", usage);
    return *column;
}

void require_type(const BulkColumn &column, bool right, const char *needed) {
    if (!right)
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "column \"" + column.name + "\" is of type " + type_name(column) + ", but must be of type " + needed,
                       "It is an argument of a trigger that calls csp_embed_trigger.", usage);
}

const BulkColumn &location_column(const BulkRelation &relation, const std::string &name) {
    const BulkColumn &column = require_column(relation, name);
    require_type(column, column.base_type == postgis_geometry_type() || column.base_type == postgis_geography_type(),
                 "geometry or geography");
    return column;
}

const BulkColumn &embedding_column(const BulkRelation &relation, const std::string &name) {
    const BulkColumn &column = require_column(relation, name);
    require_type(column, takes_embeddings(column.base_type), "real[], or one that real[] is assigned to");
    return column;
}

const BulkColumn *version_column(const BulkRelation &relation, const Trigger *trigger) {
    std::string name = argument(trigger, 3);
    const BulkColumn *column =
        name.empty() ? relation.find(argument(trigger, 1) + "_version") : &require_column(relation, name);
    if (column != nullptr)
        require_type(*column, column->base_type == INT8OID, "bigint");
    return column;
}

const BulkColumn *date_column(const BulkRelation &relation, const Trigger *trigger) {
    std::string name = argument(trigger, 4);
    if (name.empty())
        return nullptr;
    const BulkColumn &column = require_column(relation, name);
    Oid type = column.base_type;
    require_type(column, type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID, "date or timestamp");
    return &column;
}

Node *parameter(int number, Oid type) {
    Param *param = makeNode(Param);
    param->paramkind = PARAM_EXTERN;
    param->paramid = number;
    param->paramtype = type;
    param->paramtypmod = -1;
    param->location = -1;
    return reinterpret_cast<Node *>(param);
}

// csp_embed($1 [, $2::timestamptz] [, model])::type of the column. May raise server errors.
Expr *embedding_expression(Oid schema, const BulkColumn &location, const BulkColumn &embedding, const BulkColumn *date,
                           const char *model) {
    Oid types[3] = {location.base_type};
    int count = 1;
    List *arguments = list_make1(parameter(1, location.base_type));
    if (date != nullptr) {
        types[count++] = TIMESTAMPTZOID;
        Node *value = parameter(2, date->base_type);
        arguments = lappend(arguments, coerce_to_target_type(nullptr, value, date->base_type, TIMESTAMPTZOID, -1,
                                                             COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1));
    }
    if (model != nullptr) {
        types[count++] = TEXTOID;
        arguments = lappend(arguments, makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(model),
                                                 false, false));
    }
    List *name = list_make2(makeString(get_namespace_name(schema)), makeString(pstrdup("csp_embed")));
    Oid function = LookupFuncName(name, count, types, false);
    auto *call = reinterpret_cast<Node *>(
        makeFuncExpr(function, FLOAT4ARRAYOID, arguments, InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL));
    Node *assigned = coerce_to_target_type(nullptr, call, FLOAT4ARRAYOID, embedding.type, embedding.typmod,
                                           COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
    return expression_planner(reinterpret_cast<Expr *>(assigned));
}

TriggerPlan *make_plan(FunctionCallInfo fcinfo, const TriggerData *data) {
    const Trigger *trigger = data->tg_trigger;
    const BulkRelation relation = load_relation(RelationGetRelid(data->tg_relation));
    const BulkColumn &location = location_column(relation, argument(trigger, 0));
    const BulkColumn &embedding = embedding_column(relation, argument(trigger, 1));
    const BulkColumn *version = version_column(relation, trigger), *date = date_column(relation, trigger);
    return server_call([&] {
        MemoryContext context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
        auto *plan = static_cast<TriggerPlan *>(palloc0(sizeof(TriggerPlan)));
        plan->location = location.number;
        plan->embedding = embedding.number;
        plan->version = version ? version->number : 0;
        plan->observed_at = date ? date->number : 0;
        if (trigger->tgnargs > 2 && trigger->tgargs[2][0] != '\0')
            plan->model = pstrdup(trigger->tgargs[2]);
        plan->parameters = makeParamList(2);
        plan->parameters->params[0].ptype = location.base_type;
        plan->parameters->params[1].ptype = date ? date->base_type : TIMESTAMPTZOID;
        for (int i = 0; i < 2; ++i)
            plan->parameters->params[i].pflags = 0;  // values change, so none may be folded into the expression
        Expr *expression =
            embedding_expression(get_func_namespace(fcinfo->flinfo->fn_oid), location, embedding, date, plan->model);
        plan->expression = ExecInitExprWithParams(expression, plan->parameters);
        plan->context = CreateStandaloneExprContext();
        plan->context->ecxt_param_list_info = plan->parameters;
        MemoryContextSwitchTo(context);
        return plan;
    });
}

TriggerPlan &plan_of(FunctionCallInfo fcinfo, const TriggerData *data) {
    if (fcinfo->flinfo->fn_extra == nullptr)
        fcinfo->flinfo->fn_extra = make_plan(fcinfo, data);
    return *static_cast<TriggerPlan *>(fcinfo->flinfo->fn_extra);
}

// ---- a row ---------------------------------------------------------------------------------

struct Value {
    Datum datum;
    bool is_null;
};

Value value_of(HeapTuple tuple, const TriggerData *data, AttrNumber column) {
    return server_call([&] {
        Value value{Datum(0), true};
        value.datum = heap_getattr(tuple, column, RelationGetDescr(data->tg_relation), &value.is_null);
        return value;
    });
}

bool has_changed(const TriggerData *data, AttrNumber column) {
    Value before = value_of(data->tg_trigtuple, data, column), after = value_of(data->tg_newtuple, data, column);
    if (before.is_null || after.is_null)
        return before.is_null != after.is_null;
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(data->tg_relation), column - 1);
    return !server_call([&] { return datum_image_eq(before.datum, after.datum, attribute->attbyval, attribute->attlen); });
}

// An updated row that keeps its place, and with it an embedding of that version, is left alone: also what
// csp_embed_table has just computed.
bool is_current(const TriggerData *data, const TriggerPlan &plan, int64 version) {
    if (!TRIGGER_FIRED_BY_UPDATE(data->tg_event))
        return false;
    if (has_changed(data, plan.location) || (plan.observed_at != 0 && has_changed(data, plan.observed_at)))
        return false;
    if (plan.version == 0)
        return true;
    Value stored = value_of(data->tg_newtuple, data, plan.version);
    return !stored.is_null && DatumGetInt64(stored.datum) == version;
}

void bind(ParamExternData &parameter, Value value) {
    parameter.value = value.datum;
    parameter.isnull = value.is_null;
}

// The tuple with embedding and version.
HeapTuple with_embedding(const TriggerData *data, HeapTuple tuple, TriggerPlan &plan, int64 version) {
    bind(plan.parameters->params[0], value_of(tuple, data, plan.location));
    bind(plan.parameters->params[1], plan.observed_at != 0 ? value_of(tuple, data, plan.observed_at) : Value{Datum(0), true});
    return server_call([&] {
        int columns[] = {plan.embedding, plan.version};
        Datum values[] = {Datum(0), Int64GetDatum(version)};
        bool nulls[] = {true, false};
        values[0] = ExecEvalExprSwitchContext(plan.expression, plan.context, &nulls[0]);
        HeapTuple changed = heap_modify_tuple_by_cols(tuple, RelationGetDescr(data->tg_relation),
                                                      plan.version != 0 ? 2 : 1, columns, values, nulls);
        ResetExprContext(plan.context);
        return changed;
    });
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_embed_trigger);

// Trigger function: csp_embed_trigger(location, embedding [, model [, version [, observed_at]]])
Datum csp_embed_trigger(PG_FUNCTION_ARGS) {
    return guard([&] {
        const TriggerData *data = trigger_data(fcinfo);
        TriggerPlan &plan = plan_of(fcinfo, data);
        int64 version = resolve_model(plan.model);
        HeapTuple tuple = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
        if (!is_current(data, plan, version))
            tuple = with_embedding(data, tuple, plan, version);
        return PointerGetDatum(tuple);
    });
}

}  // extern "C"
