-- Loads the sample data (see README.md beside this file): plain SQL and COPY, run by psql 10 or later.
--
--   psql -f data/load.sql                              from the top of the source tree, or from data/
--   psql -v data_directory=DIR -f DIR/load.sql         from anywhere else
--
-- Makes the tables observations and observation_image_probabilities in the first schema of the search_path. All or
-- nothing: an error, such as a table that exists already, leaves everything as it was.

\set ON_ERROR_STOP on

\if :{?data_directory}
\else
    \set data_directory `test -e data/land_places.csv.gz && echo data || echo .`
\endif

BEGIN;

CREATE TABLE observations (
    id           integer PRIMARY KEY,
    geom         geometry(Point, 4326) NOT NULL,
    features     real[] NOT NULL,
    label        text NOT NULL,
    country      text,
    continent    text,
    subregion    text,
    split_random text NOT NULL CHECK (split_random IN ('train', 'val', 'test')),
    split_block  text NOT NULL CHECK (split_block IN ('train', 'val', 'test'))
);

CREATE TABLE observation_image_probabilities (
    id               integer PRIMARY KEY REFERENCES observations,
    p_climate_random real[] NOT NULL,
    p_climate_block  real[] NOT NULL
);

-- As the file has it.
CREATE TEMPORARY TABLE land_places (
    id integer, lon double precision, lat double precision, country text, continent text, subregion text,
    climate text, split_random text, split_block text, feat real[]
) ON COMMIT DROP;

-- \copy takes its line as it is, without variables; a variable that holds the whole line is expanded.
\set copy_file '\\copy land_places FROM PROGRAM ''gzip -dc "' :data_directory '/land_places.csv.gz"'' (FORMAT csv, HEADER)'
:copy_file

INSERT INTO observations (id, geom, features, label, country, continent, subregion, split_random, split_block)
SELECT id,
       ST_SetSRID(ST_MakePoint(lon, lat), 4326),
       -- Stored as integers of -127..127: divided by 32 they have about unit variance.
       ARRAY(SELECT (f.value / 32)::real FROM unnest(feat) WITH ORDINALITY AS f (value, position) ORDER BY f.position),
       climate, country, continent, subregion, split_random, split_block
FROM land_places
ORDER BY id;

\set copy_file '\\copy observation_image_probabilities FROM PROGRAM ''gzip -dc "' :data_directory '/land_places_image_probabilities.csv.gz"'' (FORMAT csv, HEADER)'
:copy_file
\unset copy_file

CREATE INDEX observations_geom_idx ON observations USING gist (geom);

COMMENT ON TABLE observations IS
    'Sample data of csp_ext: 6,000 places on land. NASA Blue Marble; Natural Earth; label: Legates & Willmott 1990 through the Marble project, CC BY-SA 3.0';
COMMENT ON COLUMN observations.features IS 'image feature vector of a 400 km satellite chip around the place, 64 long';
COMMENT ON COLUMN observations.label IS 'Köppen-style climate class (14 of them), CC BY-SA 3.0';
COMMENT ON COLUMN observations.split_random IS 'train, val or test by row';
COMMENT ON COLUMN observations.split_block IS 'train, val or test by cell of 10 x 10 degrees';
COMMENT ON TABLE observation_image_probabilities IS
    'Climate probabilities by an image classifier of its own, classes in the order Af, Aw, BSh, BSk, BWh, BWk, Cf, Cs, Cw, Dd, Df, Dw, EF, ET';
COMMENT ON COLUMN observation_image_probabilities.p_climate_random IS 'fitted on the train rows of split_random';
COMMENT ON COLUMN observation_image_probabilities.p_climate_block IS 'fitted on the train rows of split_block';

COMMIT;

ANALYZE observations, observation_image_probabilities;
