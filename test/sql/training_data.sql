-- Data for the tests that follow: 360 places on a grid, features and labels that follow from the place.
CREATE TABLE places AS
SELECT id, ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom,
       ARRAY(SELECT (sin(lon / 40 + k) + cos(lat / 20 + k / 2.0))::real FROM generate_series(1, 8) k) AS features,
       CASE WHEN lat > 30 THEN 'north' WHEN lat < -30 THEN 'south' ELSE 'middle' END AS label
FROM (SELECT row_number() OVER () AS id, lon::float8, lat::float8
      FROM generate_series(-170, 170, 20) lon, generate_series(-76, 76, 8) lat) AS grid;
SELECT count(*), count(DISTINCT label) FROM places;
