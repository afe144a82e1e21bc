-- Layers: grids of a prior as materialized views that GIS tools open without questions.
--
-- The statements are made by functions whose bodies are bound to PostGIS and csp_ext when those are installed, and name
-- everything with its schema: the session's search_path decides only where a layer without a schema comes to lie.

CREATE FUNCTION csp.model_name(model text) RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'csp_model_name';
COMMENT ON FUNCTION csp.model_name(text) IS
    'the model as given, if there is one; for NULL the name of the one that functions use when none is named';

-- Field names: case makes no difference in GeoPackage, and some names are taken there or by PostgreSQL.
CREATE FUNCTION csp.layer_columns(labels text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taken text[] := '{id,i,j,geom,fid,ctid,xmin,xmax,cmin,cmax,tableoid}';
    names text[] := '{}';
    label text;
    candidate text;
    suffix text;
    repeats int;
BEGIN
    FOREACH label IN ARRAY labels LOOP
        label := coalesce(nullif(label, ''), 'class');
        suffix := '';
        repeats := 1;
        LOOP
            candidate := label::name::text || suffix;
            WHILE octet_length(candidate) > 63 LOOP
                label := left(label::name::text, -1);
                candidate := label || suffix;
            END LOOP;
            EXIT WHEN lower(candidate) <> ALL (taken);
            repeats := repeats + 1;
            suffix := '_' || repeats;
        END LOOP;
        taken := taken || lower(candidate);
        names := names || candidate;
    END LOOP;
    RETURN names;
END $$;
COMMENT ON FUNCTION csp.layer_columns(text[]) IS
    'a column name for each label: the label, cut to 63 bytes, with _2, _3, ... where that is taken';

-- What a class is called in a layer, and what its column says.
CREATE FUNCTION csp.layer_fields(labels text[], model text) RETURNS TABLE (n bigint, name text, description text, label text)
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT f.n, f.name, f.description, NULL::text AS label
    FROM (VALUES (1, 'label', pg_catalog.format('most probable class of model "%s"', model)),
                 (2, 'probability', pg_catalog.format('P(y | x) of the most probable class, by model "%s"', model)),
                 (3, 'entropy', pg_catalog.format('entropy of all classes in nats, by model "%s": how undecided it is', model))) f (n, name, description)
    WHERE labels IS NULL
    UNION ALL
    SELECT l.n, CASE pg_catalog.cardinality(labels) WHEN 1 THEN 'probability' ELSE (csp.layer_columns(labels))[l.n] END,
           pg_catalog.format('P(y | x) of class "%s" by model "%s"', l.label, model), l.label
    FROM pg_catalog.unnest(labels) WITH ORDINALITY l (label, n);
END;
COMMENT ON FUNCTION csp.layer_fields(text[], text) IS 'columns of a layer beside the cells, with their comments';

-- The model is a constant of the query: so csp.dependents knows the layer, and a refresh follows the deploy.
CREATE FUNCTION csp.layer_query(bounds geometry, cell_size float8, labels text[], model text, shape text) RETURNS text
    LANGUAGE SQL STABLE SET extra_float_digits = 1
BEGIN ATOMIC
    SELECT pg_catalog.format('SELECT g.id, g.i, g.j, g.geom::%s(Polygon,%s) AS geom, %s FROM %s g',
                  pg_catalog.pg_typeof(bounds), ST_SRID(bounds),
                  pg_catalog.string_agg(CASE WHEN labels IS NULL THEN pg_catalog.format('g.%I', f.name)
                                  ELSE pg_catalog.format('%s.csp_probability(g.location, %L, %L) AS %I', '@extschema@', f.label, model, f.name) END, ', ' ORDER BY f.n),
                  CASE WHEN labels IS NULL THEN pg_catalog.format('%s.csp_class_grid(%s, %L, %L)', '@extschema@', a.cells, model, shape)
                       ELSE pg_catalog.format('csp.grid(%s, %L)', a.cells, shape) END)
    FROM csp.layer_fields(labels, model) f,
         (SELECT pg_catalog.format('%L::%s, %L::pg_catalog.float8', ST_Force2D(bounds), pg_catalog.pg_typeof(bounds), cell_size) AS cells) a
    GROUP BY a.cells;
END;
COMMENT ON FUNCTION csp.layer_query(geometry, float8, text[], text, text) IS 'the query of a layer, by csp_create_prior_layer';

CREATE FUNCTION csp.layer_statements(layer text, bounds geometry, cell_size float8, labels text[], model text, shape text) RETURNS SETOF text
    LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT pg_catalog.format('CREATE MATERIALIZED VIEW %s AS %s', layer, csp.layer_query(bounds, cell_size, labels, model, shape))
    UNION ALL SELECT pg_catalog.format('CREATE UNIQUE INDEX ON %s (id)', layer)
    UNION ALL SELECT pg_catalog.format('CREATE INDEX ON %s USING gist (geom)', layer)
    UNION ALL SELECT pg_catalog.format('COMMENT ON MATERIALIZED VIEW %s IS %L', layer,
                            pg_catalog.format('prior of model "%s" over an area, in cells of %s; REFRESH MATERIALIZED VIEW brings it up to date', model, cell_size))
    UNION ALL
    SELECT pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', layer, c.name, c.description)
    FROM (VALUES ('id', 'number of the row'),
                 ('i', 'column of the cell in the grid'),
                 ('j', 'row of the cell in the grid'),
                 ('geom', pg_catalog.format('cell, or what the bounds leave of it: a %s with edges of %s', shape, cell_size))) c (name, description)
    UNION ALL
    SELECT pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', layer, f.name, f.description) FROM csp.layer_fields(labels, model) f
    -- Sizes and extents that GIS tools would otherwise count and compute.
    UNION ALL SELECT pg_catalog.format('ANALYZE %s', layer);
END;
COMMENT ON FUNCTION csp.layer_statements(text, geometry, float8, text[], text, text) IS 'what csp_create_prior_layer executes';

-- A refresh computes for rows, of which there may be none.
CREATE FUNCTION csp.check_labels(labels text[], model text) RETURNS bigint
    LANGUAGE SQL STABLE
    RETURN (SELECT pg_catalog.count(csp_probability(ST_SetSRID(ST_MakePoint(0, 0), 4326), label, model)) FROM pg_catalog.unnest(labels) label);
COMMENT ON FUNCTION csp.check_labels(text[], text) IS 'errors for labels that a model does not have';

-- A name with its schema: the one given, or where CREATE would put it.
CREATE FUNCTION csp.target_name(name text) RETURNS text
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    parts text[] := pg_catalog.parse_ident(name);
BEGIN
    IF pg_catalog.cardinality(parts) OPERATOR(pg_catalog.=) 1 THEN
        parts := pg_catalog.array_prepend(pg_catalog.current_schema()::pg_catalog.text, parts);
    END IF;
    IF pg_catalog.cardinality(parts) OPERATOR(pg_catalog.<>) 2 THEN
        RAISE EXCEPTION USING ERRCODE = 'syntax_error', MESSAGE = pg_catalog.format('invalid name of a relation: %s', name),
            HINT = 'Give a name, or schema.name.';
    ELSIF parts[1] IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name', MESSAGE = 'no schema has been selected to create in',
            HINT = 'Give schema.name, or set search_path.';
    END IF;
    RETURN pg_catalog.format('%I.%I', parts[1], parts[2]);
END $$;
COMMENT ON FUNCTION csp.target_name(text) IS 'the name of a relation to be made, with its schema';

CREATE PROCEDURE csp_create_prior_layer(name text, bounds geometry, cell_size float8, labels text[] DEFAULT NULL, model text DEFAULT NULL,
                                        shape text DEFAULT 'square')
    LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    IF name IS NULL OR bounds IS NULL OR cell_size IS NULL OR shape IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'name, bounds, cell size and shape of a layer must not be null';
    END IF;
    IF pg_catalog.cardinality(labels) OPERATOR(pg_catalog.=) 0 OR pg_catalog.array_position(labels, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'labels of a layer must not be empty or null',
            HINT = 'Leave them out for the most probable class of each cell.';
    END IF;
    model := csp.model_name(model);
    PERFORM csp.check_labels(labels, model);
    FOR statement IN
        SELECT s FROM csp.layer_statements(csp.target_name(name), bounds, cell_size, labels, model, shape) s
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
COMMENT ON PROCEDURE csp_create_prior_layer(text, geometry, float8, text[], text, text) IS
    'a materialized view of the caller''s over an area, ready for GIS tools: integer key id, typed geometry, indexes, comments. One label: column probability; several: a column each, named after it; none: the most probable class, label, probability and entropy. Cells as of csp_prior_grid; the view keeps the name of the model: REFRESH MATERIALIZED VIEW [CONCURRENTLY] brings it to the deployed version. Errors: those of csp_prior_grid, an existing name, an unknown label or model';
