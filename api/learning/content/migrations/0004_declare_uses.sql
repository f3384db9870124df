SELECT hub.declare_existing_use('block', id, org_id, course_id, 'video', (body->>'video_id')::uuid)
FROM content.blocks WHERE type = 'video' AND deleted_at IS NULL;

SELECT hub.declare_existing_use('outline', outline.id, org_id, course_id, 'video', (block->'body'->>'video_id')::uuid)
FROM content.frozen_outlines AS outline, jsonb_array_elements(outline.blocks) AS block WHERE block->>'type' = 'video';
