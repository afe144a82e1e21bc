-- Everything that csp_ext has in a database, as lines of text: (object, property, value). Two databases that give the same
-- lines have the same catalogue. Run with search_path = pg_catalog, so that names are written in full.
WITH extension AS (SELECT * FROM pg_extension WHERE extname = 'csp_ext'),
member AS (
    SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
    FROM pg_depend d, extension e
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'),
relation AS (
    SELECT m.name, c.* FROM member m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
    UNION ALL   -- identity sequences belong to their columns
    SELECT pg_describe_object('pg_class'::regclass, c.oid, 0), c.* FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'i'
    JOIN member m ON m.objid = d.refobjid AND m.classid = 'pg_class'::regclass AND d.refclassid = m.classid
    WHERE d.classid = 'pg_class'::regclass AND c.relkind = 'S'),
rel_column AS (
    SELECT r.name || ', column ' || row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum) AS name, a.*,
           pg_get_expr(d.adbin, d.adrelid) AS default_value
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped),
-- Rights as sets: the order in which they were given does not matter.
acl AS (
    SELECT name, 'rights' AS property, acl FROM (
        SELECT name, relacl FROM relation UNION ALL
        SELECT name, attacl FROM rel_column UNION ALL
        SELECT m.name, p.proacl FROM member m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass UNION ALL
        SELECT m.name, t.typacl FROM member m JOIN pg_type t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass UNION ALL
        SELECT m.name, n.nspacl FROM member m JOIN pg_namespace n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass) AS of (name, acl)
    UNION ALL   -- what pg_dump takes to be there after CREATE EXTENSION
    SELECT pg_describe_object(i.classoid, i.objoid, i.objsubid), 'rights of the extension', i.initprivs
    FROM pg_init_privs i JOIN member m ON m.classid = i.classoid AND m.objid = i.objoid)
SELECT * FROM (
SELECT 'extension' AS object, property, value
FROM extension e, LATERAL (VALUES ('version', e.extversion), ('schema', e.extnamespace::regnamespace::text), ('relocatable', e.extrelocatable::text),
    ('requires', (SELECT string_agg(pg_describe_object(refclassid, refobjid, 0), ', ' ORDER BY refobjid) FROM pg_depend
                  WHERE classid = 'pg_extension'::regclass AND objid = e.oid AND refclassid = classid))) AS p (property, value)
UNION ALL SELECT 'extension', 'dumps ' || c.oid::regclass, c.condition FROM extension e, unnest(e.extconfig, e.extcondition) AS c (oid, condition)
UNION ALL SELECT name, 'member', classid::regclass::text FROM member
UNION ALL SELECT name, 'comment', obj_description(objid, classid::regclass::text) FROM member
UNION ALL SELECT name, property, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(acl) AS a) FROM acl
UNION ALL SELECT name, 'kind', concat_ws(' ', relkind, relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reloptions) FROM relation
UNION ALL SELECT name, 'definition', pg_get_viewdef(oid) FROM relation WHERE relkind IN ('v', 'm')
UNION ALL SELECT r.name, 'sequence', (to_jsonb(s) - 'seqrelid')::text FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
UNION ALL SELECT name, 'definition', concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull,
        attidentity, attgenerated, attstorage, attcompression, attstattarget, default_value) FROM rel_column
UNION ALL SELECT name, 'comment', col_description(attrelid, attnum) FROM rel_column
UNION ALL SELECT r.name || ', constraint ' || c.conname, 'definition', concat_ws(' ', pg_get_constraintdef(c.oid), c.convalidated, obj_description(c.oid, 'pg_constraint'))
    FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid
UNION ALL SELECT r.name || ', index', pg_get_indexdef(i.indexrelid), concat_ws(' ', i.indisvalid, i.indisreplident, i.indisclustered, obj_description(i.indexrelid, 'pg_class'))
    FROM relation r JOIN pg_index i ON i.indrelid = r.oid
UNION ALL SELECT r.name || ', trigger ' || t.tgname, pg_get_triggerdef(t.oid), concat_ws(' ', t.tgenabled, obj_description(t.oid, 'pg_trigger'))
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL SELECT r.name || ', foreign key ' || c.conname, 'enforced by ' || t.tgfoid::regproc || ' on ' || t.tgrelid::regclass, t.tgenabled::text
    FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid JOIN pg_trigger t ON t.tgconstraint = c.oid
UNION ALL SELECT r.name || ', policy ' || p.polname, 'definition', concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[],
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy'))
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL SELECT r.name || ', rule ' || w.rulename, 'definition', concat_ws(' ', w.ev_enabled, pg_get_ruledef(w.oid)) FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
UNION ALL SELECT m.name, 'definition', CASE WHEN p.prokind IN ('f', 'p', 'w') THEN pg_get_functiondef(p.oid) END
    FROM member m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
UNION ALL SELECT m.name, 'aggregate', (to_jsonb(a) - 'aggfnoid' || jsonb_build_object('aggtranstype', a.aggtranstype::regtype))::text FROM member m JOIN pg_aggregate a ON a.aggfnoid = m.objid AND m.classid = 'pg_proc'::regclass
UNION ALL SELECT m.name, 'definition', (to_jsonb(t) - '{oid,typnamespace,typowner,typrelid,typarray,typacl}'::text[]
        || jsonb_build_object('typelem', t.typelem::regtype, 'typbasetype', t.typbasetype::regtype))::text
    FROM member m JOIN pg_type t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass
UNION ALL SELECT m.name, 'values', string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
    FROM member m JOIN pg_enum e ON e.enumtypid = m.objid AND m.classid = 'pg_type'::regclass GROUP BY m.name
UNION ALL SELECT m.name || ', constraint ' || c.conname, 'definition', pg_get_constraintdef(c.oid)
    FROM member m JOIN pg_constraint c ON c.contypid = m.objid AND m.classid = 'pg_type'::regclass
UNION ALL SELECT m.name, 'definition', concat_ws(' ', c.castcontext, c.castmethod, nullif(c.castfunc, 0)::regprocedure)
    FROM member m JOIN pg_cast c ON c.oid = m.objid AND m.classid = 'pg_cast'::regclass
UNION ALL SELECT m.name, 'definition', concat_ws(' ', o.oprcode, o.oprrest, o.oprjoin, nullif(o.oprcom, 0)::regoperator, nullif(o.oprnegate, 0)::regoperator,
        o.oprcanhash, o.oprcanmerge) FROM member m JOIN pg_operator o ON o.oid = m.objid AND m.classid = 'pg_operator'::regclass
UNION ALL SELECT m.name, 'definition', concat_ws(' ', a.amname, c.opcintype::regtype, c.opcdefault, nullif(c.opckeytype, 0)::regtype)
    FROM member m JOIN pg_opclass c ON c.oid = m.objid AND m.classid = 'pg_opclass'::regclass JOIN pg_am a ON a.oid = c.opcmethod
UNION ALL SELECT m.name, 'operator ' || p.amopstrategy, p.amopopr::regoperator::text
    FROM member m JOIN pg_amop p ON p.amopfamily = m.objid AND m.classid = 'pg_opfamily'::regclass
UNION ALL SELECT m.name, 'function ' || p.amprocnum, p.amproc::regprocedure::text
    FROM member m JOIN pg_amproc p ON p.amprocfamily = m.objid AND m.classid = 'pg_opfamily'::regclass
UNION ALL SELECT m.name, 'definition', concat_ws(' ', e.evtevent, e.evtenabled, e.evttags, e.evtfoid::regprocedure)
    FROM member m JOIN pg_event_trigger e ON e.oid = m.objid AND m.classid = 'pg_event_trigger'::regclass
) AS line WHERE value IS NOT NULL ORDER BY 1, 2, 3
