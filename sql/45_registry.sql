-- The registry: versions of models are deployed, rolled back, named, described and dropped.
--
-- All of it is transactional. A deploy is seen by every session at its next statement, by a running one never.

SET LOCAL search_path = pg_catalog, pg_temp;

-- A version never changes once written: whoever names one by its id can rely on it.
CREATE FUNCTION csp.refuse_change() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'csp_refuse_change';
COMMENT ON FUNCTION csp.refuse_change() IS 'trigger that refuses any change of a version of a model';

CREATE TRIGGER immutable BEFORE UPDATE ON csp.model_version FOR EACH ROW
    WHEN ((OLD.id, OLD.version, OLD.configuration, OLD.options, OLD.provenance, OLD.metrics, OLD.created)
          IS DISTINCT FROM (NEW.id, NEW.version, NEW.configuration, NEW.options, NEW.provenance, NEW.metrics, NEW.created))
    EXECUTE FUNCTION csp.refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON csp.model_weights FOR EACH ROW EXECUTE FUNCTION csp.refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON csp.model_class FOR EACH ROW EXECUTE FUNCTION csp.refuse_change();

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('csp_ext.search_path'), true);

-- ---- queries by version -------------------------------------------------------------------------------------------

CREATE FUNCTION csp_model_version(model text) RETURNS bigint
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_model_version';
COMMENT ON FUNCTION csp_model_version(text) IS
    'id (csp.models.id) of the version that a model stands for: a name, the deployed one, or name@version';

CREATE FUNCTION csp_model_version() RETURNS bigint
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'csp_model_version';
COMMENT ON FUNCTION csp_model_version() IS
    'id (csp.models.id) of the version that answers where no model is named: of the setting csp.model, or of the only model that you can see';

-- IMMUTABLE: a version does not change. What is computed with one may be stored and indexed.

CREATE FUNCTION csp_embed_version(location geometry, version bigint) RETURNS real[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_version';
COMMENT ON FUNCTION csp_embed_version(geometry, bigint) IS
    'embedding e(x) of a place by the version with that id (csp.models.id): embedding_dim numbers; as csp_embed, but IMMUTABLE: for generated columns, expression indexes and foreign servers that have the same version under the same id. Errors as csp_embed, and for an unknown id';

CREATE FUNCTION csp_embed_version(location geography, version bigint) RETURNS real[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_version';
COMMENT ON FUNCTION csp_embed_version(geography, bigint) IS
    'embedding e(x) of a place by the version with that id (csp.models.id): embedding_dim numbers; as csp_embed, but IMMUTABLE: for generated columns, expression indexes and foreign servers that have the same version under the same id. Errors as csp_embed, and for an unknown id';

CREATE FUNCTION csp_embed_version(location geometry, observed_at timestamptz, version bigint) RETURNS real[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_version_at';
COMMENT ON FUNCTION csp_embed_version(geometry, timestamptz, bigint) IS
    'embedding e(x) of a place at a time of the year (in UTC) by the version with that id, of a model that was trained with dates (option observed_at)';

CREATE FUNCTION csp_embed_version(location geography, observed_at timestamptz, version bigint) RETURNS real[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500 SUPPORT csp.planner_support AS 'MODULE_PATHNAME', 'csp_embed_version_at';
COMMENT ON FUNCTION csp_embed_version(geography, timestamptz, bigint) IS
    'embedding e(x) of a place at a time of the year (in UTC) by the version with that id, of a model that was trained with dates (option observed_at)';

-- ---- deploying ----------------------------------------------------------------------------------------------------

CREATE FUNCTION csp_deploy(model text) RETURNS bigint
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_deploy';
COMMENT ON FUNCTION csp_deploy(text) IS
    'deploys a version of a model, name@version, or the newest one of a name, and returns its id (csp.models.id): the name stands for it from the next statement of every session on, once the transaction has committed. Only for members of the role that owns the model';

CREATE FUNCTION csp_deploy(model text, version int) RETURNS bigint
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_deploy';
COMMENT ON FUNCTION csp_deploy(text, int) IS
    'deploys a version of a model and returns its id (csp.models.id): the name stands for it from the next statement of every session on, once the transaction has committed. Only for members of the role that owns the model';

CREATE FUNCTION csp_rollback(model text) RETURNS bigint
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_rollback';
COMMENT ON FUNCTION csp_rollback(text) IS
    'deploys the version that was deployed before the one that is, and returns its id (csp.models.id); called again, the one before that, up to 100. An error if there is none. Only for members of the role that owns the model';

-- ---- names, comments, the end -------------------------------------------------------------------------------------

CREATE FUNCTION csp_rename(model text, new_name text) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_rename';
COMMENT ON FUNCTION csp_rename(text, text) IS
    'gives a model another name, with its versions, runs and searches; runs that go on will publish under it. An error if there is a model of that name; a warning lists views and other objects of the database that still call the old one. Only for members of the role that owns the model';

CREATE FUNCTION csp_comment(model text, comment text) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_comment';
COMMENT ON FUNCTION csp_comment(text, text) IS
    'stores a comment on a model (name) or on one version of it (name@version); NULL removes it. See csp.models. Only for members of the role that owns the model';

CREATE FUNCTION csp_drop_model(model text, cascade boolean DEFAULT false) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_drop_model';
COMMENT ON FUNCTION csp_drop_model(text, boolean) IS
    'drops a model with all versions (name), or one version that is not deployed (name@version). Its runs stay in csp.runs. An error while objects of the database name it (see csp.dependents), which cascade drops too, and while training runs, searches or csp_embed_table use it. Only for members of the role that owns the model, and with cascade of those that own the objects';

-- ---- what depends on a model --------------------------------------------------------------------------------------

CREATE FUNCTION csp.models_named(expression pg_node_tree) RETURNS TABLE (model text, version bigint)
    LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 2 AS 'MODULE_PATHNAME', 'csp_models_named';
COMMENT ON FUNCTION csp.models_named(pg_node_tree) IS
    'models that calls of csp_ext functions in a stored expression or query name by constants: model, a name or name@version, or version, an id';

CREATE FUNCTION csp.models_named(trigger_arguments bytea) RETURNS TABLE (model text, version bigint)
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'csp_trigger_models_named';
COMMENT ON FUNCTION csp.models_named(bytea) IS 'model that a trigger with these arguments (pg_trigger.tgargs) names which calls csp_embed_trigger';

SET LOCAL search_path = pg_catalog, pg_temp;

-- PostgreSQL knows which objects depend on functions of csp_ext; the models are constants in the calls.
CREATE VIEW csp.dependents WITH (security_invoker = true) AS
    WITH called AS MATERIALIZED (
        SELECT f.objid AS oid FROM pg_depend f JOIN pg_extension e ON e.oid = f.refobjid
        WHERE f.classid = 'pg_proc'::regclass AND f.refclassid = 'pg_extension'::regclass AND f.deptype = 'e'
          AND e.extname = 'csp_ext'),
    caller AS MATERIALIZED (
        SELECT DISTINCT d.classid, d.objid FROM pg_depend d JOIN called f ON f.oid = d.refobjid
        WHERE d.refclassid = 'pg_proc'::regclass),
    -- What would be dropped, whose it is, and what it evaluates.
    expression (classid, objid, objsubid, owner, tree) AS (
        SELECT CASE a.attgenerated WHEN '' THEN 'pg_attrdef'::regclass ELSE 'pg_class'::regclass END::oid,
               CASE a.attgenerated WHEN '' THEN x.oid ELSE x.adrelid END,
               CASE a.attgenerated WHEN '' THEN 0 ELSE x.adnum END, r.relowner, x.adbin
        FROM caller c JOIN pg_attrdef x ON x.oid = c.objid JOIN pg_class r ON r.oid = x.adrelid
             JOIN pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum
        WHERE c.classid = 'pg_attrdef'::regclass
        UNION ALL
        SELECT COALESCE(k.classid, c.classid), COALESCE(k.objid, c.objid), 0, r.relowner, t.tree
        FROM caller c JOIN pg_index x ON x.indexrelid = c.objid JOIN pg_class r ON r.oid = c.objid
             LEFT JOIN LATERAL (SELECT d.refclassid AS classid, d.refobjid AS objid FROM pg_depend d  -- an exclusion constraint
                                WHERE d.classid = c.classid AND d.objid = c.objid AND d.deptype = 'i'
                                  AND d.refclassid = 'pg_constraint'::regclass) k ON true,
             LATERAL (VALUES (x.indexprs), (x.indpred)) t (tree)
        WHERE c.classid = 'pg_class'::regclass AND NOT r.relispartition
        UNION ALL
        SELECT c.classid, c.objid, 0, r.relowner, x.partexprs
        FROM caller c JOIN pg_partitioned_table x ON x.partrelid = c.objid JOIN pg_class r ON r.oid = c.objid
        WHERE c.classid = 'pg_class'::regclass
        UNION ALL
        SELECT CASE x.rulename WHEN '_RETURN' THEN 'pg_class'::regclass ELSE 'pg_rewrite'::regclass END::oid,
               CASE x.rulename WHEN '_RETURN' THEN x.ev_class ELSE x.oid END, 0, r.relowner, t.tree
        FROM caller c JOIN pg_rewrite x ON x.oid = c.objid JOIN pg_class r ON r.oid = x.ev_class,
             LATERAL (VALUES (x.ev_action), (x.ev_qual)) t (tree)
        WHERE c.classid = 'pg_rewrite'::regclass
        UNION ALL
        SELECT c.classid, c.objid, 0, COALESCE(r.relowner, y.typowner), x.conbin
        FROM caller c JOIN pg_constraint x ON x.oid = c.objid LEFT JOIN pg_class r ON r.oid = x.conrelid
             LEFT JOIN pg_type y ON y.oid = x.contypid
        WHERE c.classid = 'pg_constraint'::regclass
        UNION ALL
        SELECT c.classid, c.objid, 0, x.typowner, x.typdefaultbin
        FROM caller c JOIN pg_type x ON x.oid = c.objid WHERE c.classid = 'pg_type'::regclass
        UNION ALL
        SELECT c.classid, c.objid, 0, r.relowner, t.tree
        FROM caller c JOIN pg_policy x ON x.oid = c.objid JOIN pg_class r ON r.oid = x.polrelid,
             LATERAL (VALUES (x.polqual), (x.polwithcheck)) t (tree)
        WHERE c.classid = 'pg_policy'::regclass
        UNION ALL
        SELECT c.classid, c.objid, 0, x.proowner, t.tree
        FROM caller c JOIN pg_proc x ON x.oid = c.objid, LATERAL (VALUES (x.prosqlbody), (x.proargdefaults)) t (tree)
        WHERE c.classid = 'pg_proc'::regclass
        UNION ALL
        SELECT c.classid, c.objid, 0, r.relowner, x.tgqual
        FROM caller c JOIN pg_trigger x ON x.oid = c.objid JOIN pg_class r ON r.oid = x.tgrelid
        WHERE c.classid = 'pg_trigger'::regclass AND x.tgparentid = 0
        UNION ALL
        SELECT c.classid, c.objid, 0, x.stxowner, x.stxexprs
        FROM caller c JOIN pg_statistic_ext x ON x.oid = c.objid WHERE c.classid = 'pg_statistic_ext'::regclass),
    dependent AS (
        SELECT x.classid, x.objid, x.objsubid, x.owner, n.model, n.version
        FROM expression x, csp.models_named(x.tree) n
        UNION
        SELECT 'pg_trigger'::regclass, x.oid, 0, r.relowner, n.model, n.version
        FROM caller c JOIN pg_trigger x ON x.oid = c.objid JOIN pg_proc f ON f.oid = x.tgfoid
             JOIN called ON called.oid = f.oid JOIN pg_class r ON r.oid = x.tgrelid, csp.models_named(x.tgargs) n
        WHERE c.classid = 'pg_trigger'::regclass AND x.tgparentid = 0 AND f.proname = 'csp_embed_trigger')
    SELECT d.classid, d.objid, d.objsubid, pg_describe_object(d.classid, d.objid, d.objsubid) AS object,
           d.owner::regrole AS owner, d.model, d.version
    FROM dependent d;
COMMENT ON VIEW csp.dependents IS
    'objects of the database whose stored expressions name a model by a constant: columns, indexes, views, constraints, policies, functions with SQL-standard bodies, triggers, statistics';
COMMENT ON COLUMN csp.dependents.model IS 'as it is named: a name, or name@version';
COMMENT ON COLUMN csp.dependents.version IS 'id of the version, where that is how it is named (csp_embed_version)';
COMMENT ON COLUMN csp.dependents.objid IS 'what csp_drop_model would drop, with classid and objsubid as in pg_depend';
GRANT SELECT ON csp.dependents TO PUBLIC;

-- ---- model cards --------------------------------------------------------------------------------------------------

CREATE FUNCTION csp.model_card(version bigint) RETURNS jsonb
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT jsonb_strip_nulls(jsonb_build_object(
            'model', v.name, 'version', v.version, 'id', v.id, 'deployed', v.deployed, 'owner', v.owner::text,
            'comment', v.comment, 'version_comment', v.version_comment, 'created', v.created,
            'architecture', v.configuration,
            'training', v.provenance - '{csp_ext, postgresql, postgis, libtorch, blas}'::text[],
            'software', (SELECT jsonb_object_agg(s.key, s.value) FROM jsonb_each(v.provenance) s
                         WHERE s.key = ANY ('{csp_ext, postgresql, postgis, libtorch, blas}')),
            'classes', (SELECT jsonb_agg(jsonb_build_object('label', c.label, 'rows', c.rows) ORDER BY c.class)
                        FROM csp.model_class c WHERE c.version = v.id),
            'options', (SELECT jsonb_object_agg(o.key, o.value)
                        FROM jsonb_each(v.options) o LEFT JOIN @extschema@.csp_options() d ON d.name = o.key
                        WHERE o.value #>> '{}' <> COALESCE(d.default_value, '')),
            'metrics', v.metrics,
            'queries', (SELECT jsonb_agg(q.call)
                        FROM COALESCE(CASE WHEN (v.configuration ->> 'dates')::boolean THEN ', observed_at' END, '') date,
                             quote_literal(CASE WHEN v.deployed THEN v.name ELSE concat(v.name, '@', v.version) END) model,
                             LATERAL (VALUES
                                 (true, format('csp_embed(location%s, %s)', date, model)),
                                 (v.image_dim > 0, format('csp_similarity(location, features%s, %s)', date, model)),
                                 (v.class_count > 0, format('csp_classify(location, 5%s, %s)', date, model)),
                                 ((v.configuration ->> 'image_classifier')::boolean, format('csp_classify(location, features, 5%s, %s)', date, model)),
                                 (v.class_count > 0, format('csp_probability(location, label%s, %s)', date, model)),
                                 (true, format('csp_embed_version(location%s, %s)', date, v.id))) q (possible, call)
                        WHERE q.possible)))
        FROM csp.models v WHERE v.id = model_card.version);
COMMENT ON FUNCTION csp.model_card(bigint) IS 'what is known of the version with that id: see csp_model_card';

CREATE FUNCTION @extschema@.csp_model_card(model text) RETURNS jsonb
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN csp.model_card(@extschema@.csp_model_version(model));
COMMENT ON FUNCTION @extschema@.csp_model_card(text) IS
    'what is known of a version (name, the deployed one, or name@version): model, version, id, deployed, owner, comment, version_comment, created, architecture, training (source, query, rows, extent as west, south, east and north in degrees, ...), classes with their rows, options that differ from the defaults, metrics, software, queries';

CREATE FUNCTION @extschema@.csp_model_card() RETURNS jsonb
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN csp.model_card(@extschema@.csp_model_version());
COMMENT ON FUNCTION @extschema@.csp_model_card() IS 'what is known of the version that answers where no model is named: see csp_model_card(text)';

-- A line for each member, in alphabetical order; only those in `members`, if given.
CREATE FUNCTION csp.card_lines(object jsonb, members text[] DEFAULT NULL) RETURNS text
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE
    RETURN (SELECT string_agg(format('- %s: %s', translate(m.key, '_', ' '), m.value #>> '{}'), E'\n' ORDER BY m.key COLLATE "C")
            FROM jsonb_each(object) m WHERE members IS NULL OR m.key = ANY (members));
COMMENT ON FUNCTION csp.card_lines(jsonb, text[]) IS 'a JSON object as lines of text, for csp_model_card_text';

CREATE FUNCTION csp.card_section(title text, body text) RETURNS text
    LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE RETURN format(E'\n## %s\n\n%s', title, body);
COMMENT ON FUNCTION csp.card_section(text, text) IS 'a section of csp_model_card_text; NULL without a body';

CREATE FUNCTION csp.model_card_text(card jsonb) RETURNS text
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE
    RETURN concat_ws(E'\n',
        format('# Model %s, version %s', card ->> 'model', card ->> 'version'),
        E'\n' || (card ->> 'comment'),
        E'\n' || (card ->> 'version_comment'),
        E'\n' || csp.card_lines(card, '{id, deployed, owner, created}'),
        csp.card_section('Architecture', csp.card_lines(card -> 'architecture',
            '{position_encoding, network, embedding_dim, hidden_dim, hidden_layers, image_dim, class_count, class_head, dates}')),
        csp.card_section('Training', csp.card_lines(card -> 'training')),
        csp.card_section('Classes',
            (SELECT string_agg(format('- %s%s', c.value ->> 'label', ': ' || (c.value ->> 'rows') || ' rows'), E'\n' ORDER BY c.number)
             FROM jsonb_array_elements(card -> 'classes') WITH ORDINALITY c (value, number) WHERE c.number <= 50)
            || COALESCE(E'\n- and ' || nullif(greatest(jsonb_array_length(card -> 'classes') - 50, 0), 0)::text || ' more', '')),
        csp.card_section('Options that differ from the defaults', csp.card_lines(card -> 'options')),
        csp.card_section('Metrics', csp.card_lines(card -> 'metrics')),
        csp.card_section('Software', csp.card_lines(card -> 'software')),
        csp.card_section('Queries',
            (SELECT string_agg('    ' || q.call, E'\n' ORDER BY q.number)
             FROM jsonb_array_elements_text(card -> 'queries') WITH ORDINALITY q (call, number))));
COMMENT ON FUNCTION csp.model_card_text(jsonb) IS 'a model card as text: see csp_model_card_text';

CREATE FUNCTION @extschema@.csp_model_card_text(model text) RETURNS text
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN csp.model_card_text(@extschema@.csp_model_card(model));
COMMENT ON FUNCTION @extschema@.csp_model_card_text(text) IS 'csp_model_card as text to read, in Markdown; of classes the first 50';

CREATE FUNCTION @extschema@.csp_model_card_text() RETURNS text
    LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN csp.model_card_text(@extschema@.csp_model_card());
COMMENT ON FUNCTION @extschema@.csp_model_card_text() IS 'csp_model_card() as text to read, in Markdown';

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('csp_ext.search_path'), true);
