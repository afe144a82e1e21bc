-- What calibration on rows held out in spatial blocks brings, against rows held out by place: figures on the test rows of the
-- block split, images of all rows, labels of the train rows; five seeds. See doc/fusion.md.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
CREATE OR REPLACE PROCEDURE quality.calibrate(model text, held_out jsonb) LANGUAGE plpgsql AS $$
DECLARE
    run bigint;
BEGIN
    FOR seed IN 1 .. 5 LOOP
        CALL csp_train(model,
                       $source$SELECT geom, features, CASE WHEN split_block = 'train' THEN label END AS label FROM observations ORDER BY id$source$,
                       'geom', 'features', 'label',
                       '{"image_classifier": true, "calibration": true, "min_radius": 2, "pretrain_epochs": 20, "min_steps": 100,
                         "fine_tune_batch_size": 64}'::jsonb || held_out || jsonb_build_object('seed', seed), run => run);
    END LOOP;
END $$;
CALL quality.calibrate('calibrated by places', '{}');
CALL quality.calibrate('calibrated by blocks', '{"validation_block_size": 10}');

-- The same models without what calibration fitted.
SELECT count(csp_import('not calibrated', csp_export(format('calibrated by places@%s', v)),
                        '{"place_temperature": 1, "image_temperature": 1, "prior_strength": 1, "fusion_temperature": 1}'))
FROM generate_series(1, 5) v;

-- The same models with what was fitted to blocks, of the same seed: no block had to be left out of these to learn from.
SELECT count(csp_import('calibrated as on blocks', csp_export(format('calibrated by places@%s', version)),
                        (SELECT jsonb_object_agg(key, COALESCE(configuration -> key, '1'))
                         FROM unnest('{place_temperature, image_temperature, prior_strength, fusion_temperature}'::text[]) key)))
FROM csp.models WHERE name = 'calibrated by blocks';

CREATE TEMP TABLE calibration_figures AS
SELECT name, version, e.*
FROM csp.models m,
     csp_evaluate(format('%s@%s', name, version), $source$SELECT geom, features, label FROM observations WHERE split_block = 'test'$source$,
                  'geom', 'label', features => 'features', options => '{"bootstrap": 0}') e
WHERE name LIKE '%calibrated%' AND metric IN ('top1', 'log_loss', 'ece');

SELECT name, scope, metric, round(avg(value)::numeric, 3) AS mean, round(stddev(value)::numeric, 3) AS sd, count(*) AS seeds
FROM calibration_figures GROUP BY 1, 2, 3 ORDER BY 3, 2, 1;
SELECT name, round(avg((configuration ->> 'place_temperature')::numeric), 2) AS place_temperature,
       round(avg((configuration ->> 'image_temperature')::numeric), 2) AS image_temperature,
       round(avg((configuration ->> 'prior_strength')::numeric), 2) AS prior_strength,
       round(avg((configuration ->> 'fusion_temperature')::numeric), 2) AS fusion_temperature
FROM csp.models WHERE name LIKE 'calibrated by%' GROUP BY 1;
