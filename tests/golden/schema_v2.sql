BEGIN TRANSACTION;
CREATE TABLE sessionry_approval (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    run integer not null references sessionry_run (key) on delete cascade,
    question text not null,
    status text not null,
    tool_name text not null,
    tool_input text not null,
    tool_call_id text,
    reason text,
    requested_at integer not null,
    expires_at integer,
    decided_at integer,
    decided_by text,
    note text,
    unique (run, question)
);
INSERT INTO "sessionry_approval" VALUES(1,'apr_01a203f82b77711d9fd2efdf870cebaf',14,6,'k','granted','rm','{"path":"x"}','t','why',1760000047000000,1769000047000000,1760000048000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(2,'apr_01a203f82b9070198e3df9d38d4d6cb4',15,7,'k','denied','rm','{"path":"x"}','t','why',1760000054000000,1769000054000000,1760000055000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(3,'apr_01a203f82b9f7bada133a5d8d7d5cdac',16,8,'open','pending','rm','null',NULL,NULL,1760000061000000,NULL,NULL,NULL,NULL);
INSERT INTO "sessionry_approval" VALUES(4,'apr_01a203f82bab7bdfba78be5138fe4b2b',17,9,'open','pending','rm','null',NULL,NULL,1760000065000000,NULL,NULL,NULL,NULL);
CREATE TABLE sessionry_event (
    position integer primary key autoincrement,
    session integer not null,
    seq integer not null,
    run integer,
    fence integer not null,
    type text not null,
    at integer not null,
    id blob not null,
    actor text,
    correlation text,
    causation text,
    schema integer not null,
    data text not null
);
INSERT INTO "sessionry_event" VALUES(1,1,1,NULL,0,'session_created',1760000003000000,X'01A203F82B2B741E806E2563BF463130','ann',NULL,NULL,1,'{"agent_id":"echo","title":"Größe ÄÖÜ ß 🦀","cwd":"/tmp","metadata":{"n":[1,null,{"x":2.5}]},"tags":["a","b c"]}');
INSERT INTO "sessionry_event" VALUES(2,2,1,NULL,0,'session_created',1760000004000000,X'01A203F82B2D7B5DB53303F953C42901','ann',NULL,NULL,1,'{"agent_id":"echo","parent_session_id":"ses_01a203f82b2b764c99f0dccd46fcc5b8","context":{"system":"be brief"},"slots":2,"queue_limit":5}');
INSERT INTO "sessionry_event" VALUES(3,1,2,NULL,0,'session_updated',1760000005000000,X'01A203F82B2F7AAF84ACBC48047D9BFB',NULL,NULL,NULL,1,'{"title":"Changed","tags":["b c","d"]}');
INSERT INTO "sessionry_event" VALUES(4,3,1,NULL,0,'session_created',1760000006000000,X'01A203F82B3076DF9963D70B401476EE',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(5,3,2,NULL,0,'session_started',1760000007000000,X'01A203F82B327AADA06D5F295DBB0364',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(6,3,3,NULL,0,'session_paused',1760000008000000,X'01A203F82B337A2B94F36AAB018C563D',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(7,4,1,NULL,0,'session_created',1760000009000000,X'01A203F82B3473E687CBB19E62301281',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(8,4,2,NULL,0,'session_started',1760000010000000,X'01A203F82B35707B86AAE21B87B5C427',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(9,4,3,NULL,0,'session_paused',1760000011000000,X'01A203F82B37736EAA98721190F4160B',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(10,4,4,NULL,0,'session_resumed',1760000012000000,X'01A203F82B38766DBE5E74EFA8F43EFB',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(11,5,1,NULL,0,'session_created',1760000013000000,X'01A203F82B3A7B28B17436C8F0C51622',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(12,5,2,NULL,0,'session_started',1760000014000000,X'01A203F82B3B776EA4F375EB066323F4',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(13,5,3,NULL,0,'session_completed',1760000015000000,X'01A203F82B3D7D3AB8D656CD83C7D397',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(14,6,1,NULL,0,'session_created',1760000016000000,X'01A203F82B3F7FB18FC46CE98A3DBC59',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(15,6,2,NULL,0,'session_cancelled',1760000017000000,X'01A203F82B4071D3875918815B3D035D',NULL,NULL,NULL,1,'{"reason":"no"}');
INSERT INTO "sessionry_event" VALUES(16,7,1,NULL,0,'session_created',1760000018000000,X'01A203F82B4272FFB3B601CB8A445A0D',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(17,7,2,NULL,0,'session_failed',1760000019000000,X'01A203F82B447779A5257ED6D47EF5CA',NULL,NULL,NULL,1,'{"error":{"code":"internal_error","message":"oh","details":{"k":"v"}}}');
INSERT INTO "sessionry_event" VALUES(18,8,1,NULL,0,'session_created',1760000020000000,X'01A203F82B467941AB3666B871D1C576',NULL,NULL,NULL,1,'{"agent_id":"echo","title":"Gone"}');
INSERT INTO "sessionry_event" VALUES(19,8,2,NULL,0,'session_deleted',1760000021000000,X'01A203F82B48770C9626F0EA6857A95E',NULL,NULL,NULL,1,'{"reason":"test"}');
INSERT INTO "sessionry_event" VALUES(20,9,1,NULL,0,'session_created',1760000022000000,X'01A203F82B497F48A6460062FCA1F416',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(21,9,2,NULL,0,'session_started',1760000023000000,X'01A203F82B4B70BAB82DE0EC18C98FCB',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(22,9,3,1,0,'run_queued',1760000023000000,X'01A203F82B4B71E887CA542BA3388003',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(23,9,4,1,1,'run_started',1760000024000000,X'01A203F82B4D726F9CC027932009EB61',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(24,9,5,1,1,'message_streamed',1760000025000000,X'0199C82D21A8792EAA732595FDA0DD8C',NULL,NULL,NULL,1,'{"text":"you "}');
INSERT INTO "sessionry_event" VALUES(25,9,6,1,1,'message_streamed',1760000025000000,X'0199C82D21A87B0EBEDE158440A785A4',NULL,NULL,NULL,1,'{"text":"said"}');
INSERT INTO "sessionry_event" VALUES(26,9,7,1,1,'message_received',1760000025000000,X'0199C82D21A87572A040AC98AD1F315C',NULL,NULL,NULL,1,'{"text":"you said \u0000   hi"}');
INSERT INTO "sessionry_event" VALUES(27,9,8,1,1,'tool_call_started',1760000025000000,X'0199C82D21A8753B903F3647B31299DC',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_input":{"command":"ls"}}');
INSERT INTO "sessionry_event" VALUES(28,9,9,1,1,'tool_call_completed',1760000025000000,X'0199C82D21A87A7B9E88EB8F1FA15DA8',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_output":"README"}');
INSERT INTO "sessionry_event" VALUES(29,9,10,1,1,'tool_call_started',1760000025000000,X'0199C82D21A870D6A7FC91731D28C58C',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash"}');
INSERT INTO "sessionry_event" VALUES(30,9,11,1,1,'custom_recorded',1760000025000000,X'0199C82D21A87050B3A4A3BDA64EFBEE',NULL,NULL,NULL,1,'{"name":"mine","value":{"big":9223372036854775808,"small":-9223372036854775808}}');
INSERT INTO "sessionry_event" VALUES(31,9,12,1,1,'artifact_added',1760000025000000,X'0199C82D21A8769E9C2F01625E725358',NULL,NULL,NULL,1,'{"hash":"0000000000000000000000000000000000000000000000000000000000000000","size":5,"name":"a.txt","media_type":"text/plain"}');
INSERT INTO "sessionry_event" VALUES(32,9,13,1,1,'token_usage_updated',1760000026000000,X'01A203F82B51775A85C7BA1D119B3930',NULL,NULL,NULL,1,'{"usage":{"input_tokens":10,"output_tokens":2},"cost":"0.0123"}');
INSERT INTO "sessionry_event" VALUES(33,9,14,1,1,'agent_session_linked',1760000026000000,X'01A203F82B5179139DAFBE618F41F2A0',NULL,NULL,NULL,1,'{"native_session_id":"n-1","model":"m-1"}');
INSERT INTO "sessionry_event" VALUES(34,9,15,1,1,'turn_completed',1760000026000000,X'01A203F82B517E6B941AA8502CC99274',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(35,9,16,1,0,'tool_call_interrupted',1760000027000000,X'01A203F82B53735FB9B0F5FE102F194A',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash","reason":"run_completed"}');
INSERT INTO "sessionry_event" VALUES(36,9,17,1,1,'run_completed',1760000027000000,X'01A203F82B5373E2BE845F203BE4517A',NULL,NULL,NULL,1,'{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}');
INSERT INTO "sessionry_event" VALUES(37,10,1,NULL,0,'session_created',1760000028000000,X'01A203F82B5477CEB531301738C0D1A7',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(38,10,2,NULL,0,'session_started',1760000029000000,X'01A203F82B557D4D9916E3A32B98868C',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(39,10,3,2,0,'run_queued',1760000029000000,X'01A203F82B567792AC1D151EF6E7C9CC',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(40,10,4,2,1,'run_started',1760000030000000,X'01A203F82B577BD181F43716C6D3978A',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(41,10,5,2,1,'run_failed',1760000031000000,X'01A203F82B5971E1A85720BF44EEF291',NULL,NULL,NULL,1,'{"error":{"code":"agent_failed","message":"boom","retryable":true}}');
INSERT INTO "sessionry_event" VALUES(42,11,1,NULL,0,'session_created',1760000032000000,X'01A203F82B5C71298429A8549C47DFEC',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(43,11,2,NULL,0,'session_started',1760000033000000,X'01A203F82B5D7300B778ED9768BBD37F',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(44,11,3,3,0,'run_queued',1760000033000000,X'01A203F82B5E7E6387D1CADF7317FB79',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(45,11,4,3,1,'run_started',1760000034000000,X'01A203F82B5F7EBDB5DDB8A11B3A9BF4',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(46,11,5,3,1,'run_cancelled',1760000035000000,X'01A203F82B60706AB38A7627F2EAFCB2',NULL,NULL,NULL,1,'{"reason":"stop"}');
INSERT INTO "sessionry_event" VALUES(47,12,1,NULL,0,'session_created',1760000036000000,X'01A203F82B62700E8B6171595D5594A4',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(48,12,2,NULL,0,'session_started',1760000037000000,X'01A203F82B647683B1CE86CED76F43D0',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(49,12,3,4,0,'run_queued',1760000037000000,X'01A203F82B647A50BA45BE4D0DDD4A64',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(50,12,4,4,1,'run_started',1760000038000000,X'01A203F82B6575739E66957CD420A5A5',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(51,12,5,4,1,'run_timeout',1760000039000000,X'01A203F82B667989B3826D49B28E3020',NULL,NULL,NULL,1,'{"limit":"timeout","seconds":5.0}');
INSERT INTO "sessionry_event" VALUES(52,13,1,NULL,0,'session_created',1760000040000000,X'01A203F82B6878A6BEE9BE6198EA1AD6',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(53,13,2,NULL,0,'session_started',1760000041000000,X'01A203F82B6A760C88187C52E29DFD22',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(54,13,3,5,0,'run_queued',1760000041000000,X'01A203F82B6A789BB25706FF8E1D5530',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(55,13,4,5,1,'run_started',1760000042000000,X'01A203F82B6C709BBFD09D3F3794EBD1',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(56,13,5,5,2,'worker_lost',1760000043000000,X'01A203F82B6F73E49538B3B8A842799A',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"stopped"}');
INSERT INTO "sessionry_event" VALUES(57,13,6,5,2,'run_failed',1760000043000000,X'01A203F82B7076908903D67C31E13172',NULL,NULL,NULL,1,'{"error":{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}}');
INSERT INTO "sessionry_event" VALUES(58,14,1,NULL,0,'session_created',1760000044000000,X'01A203F82B7174F088A0BF0E1AE1CDC8',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(59,14,2,NULL,0,'session_started',1760000045000000,X'01A203F82B737844B0092D860D1B97F7',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(60,14,3,6,0,'run_queued',1760000045000000,X'01A203F82B73768AB4F3FEFA6449B0E7',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(61,14,4,6,1,'run_started',1760000046000000,X'01A203F82B75720EA13694906422A111',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(62,14,5,6,1,'tool_approval_requested',1760000047000000,X'01A203F82B7774059FF706F7C302527F',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b77711d9fd2efdf870cebaf","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:07Z"}');
INSERT INTO "sessionry_event" VALUES(63,14,6,6,1,'run_waiting',1760000047000000,X'01A203F82B78734090844787C7EB7D50',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b77711d9fd2efdf870cebaf"}');
INSERT INTO "sessionry_event" VALUES(64,14,7,6,0,'tool_approval_granted',1760000048000000,X'01A203F82B7C784F8D25AF68773FE556','ann',NULL,NULL,1,'{"approval_id":"apr_01a203f82b77711d9fd2efdf870cebaf","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(65,14,8,6,1,'run_resumed',1760000049000000,X'01A203F82B7F7043A6487E984B853C5C',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b77711d9fd2efdf870cebaf"}');
INSERT INTO "sessionry_event" VALUES(66,14,9,6,1,'run_completed',1760000050000000,X'01A203F82B83719385C41D62A58E8128',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(67,15,1,NULL,0,'session_created',1760000051000000,X'01A203F82B857FFEAE24F19EE12A8034',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(68,15,2,NULL,0,'session_started',1760000052000000,X'01A203F82B897C66B031468393043550',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(69,15,3,7,0,'run_queued',1760000052000000,X'01A203F82B89706B9D1AB0EAF350451A',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(70,15,4,7,1,'run_started',1760000053000000,X'01A203F82B8C74F3A2CCD89A605D8E5F',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(71,15,5,7,1,'tool_approval_requested',1760000054000000,X'01A203F82B907A6197BAC17D564F572A',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b9070198e3df9d38d4d6cb4","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:14Z"}');
INSERT INTO "sessionry_event" VALUES(72,15,6,7,1,'run_waiting',1760000054000000,X'01A203F82B907B21BF8FF0657179A96C',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b9070198e3df9d38d4d6cb4"}');
INSERT INTO "sessionry_event" VALUES(73,15,7,7,0,'tool_approval_denied',1760000055000000,X'01A203F82B937C92827B5A8F2EA96701','ann',NULL,NULL,1,'{"approval_id":"apr_01a203f82b9070198e3df9d38d4d6cb4","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(74,15,8,7,1,'run_resumed',1760000056000000,X'01A203F82B9571AA9D3B0266457EB983',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b9070198e3df9d38d4d6cb4"}');
INSERT INTO "sessionry_event" VALUES(75,15,9,7,1,'run_completed',1760000057000000,X'01A203F82B977139AB1AA150698800F1',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(76,16,1,NULL,0,'session_created',1760000058000000,X'01A203F82B997309AD80F44F84C78FCF',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(77,16,2,NULL,0,'session_started',1760000059000000,X'01A203F82B9B7004B144532DA6BEC573',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(78,16,3,8,0,'run_queued',1760000059000000,X'01A203F82B9B7A129C415273A04EDD79',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(79,16,4,8,1,'run_started',1760000060000000,X'01A203F82B9E73A799BE09DCF719A982',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(80,16,5,8,1,'tool_approval_requested',1760000061000000,X'01A203F82B9F78C9826B0B8E0AAE5734',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b9f7bada133a5d8d7d5cdac","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(81,16,6,8,1,'run_waiting',1760000061000000,X'01A203F82B9F7D7D814B472821F83718',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82b9f7bada133a5d8d7d5cdac"}');
INSERT INTO "sessionry_event" VALUES(82,17,1,NULL,0,'session_created',1760000062000000,X'01A203F82BA275BB836BCF026617A583',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(83,17,2,NULL,0,'session_started',1760000063000000,X'01A203F82BA570DF91E3F3F151976FC6',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(84,17,3,9,0,'run_queued',1760000063000000,X'01A203F82BA577EB9613DDDC3BE961EF',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(85,17,4,9,1,'run_started',1760000064000000,X'01A203F82BA873E695C1FFC1AA0C1B3B',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(86,17,5,9,1,'tool_approval_requested',1760000065000000,X'01A203F82BAB7116AAAD78DCAFD85043',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82bab7bdfba78be5138fe4b2b","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(87,17,6,9,1,'run_waiting',1760000065000000,X'01A203F82BAB718BAD7674041BAF5D97',NULL,NULL,NULL,1,'{"approval_id":"apr_01a203f82bab7bdfba78be5138fe4b2b"}');
INSERT INTO "sessionry_event" VALUES(88,17,7,9,2,'worker_lost',1760000066000000,X'01A203F82BAC7C3E8BFBFB2A7A6826F2',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"parked"}');
INSERT INTO "sessionry_event" VALUES(89,18,1,NULL,0,'session_created',1760000067000000,X'01A203F82BAE7D88AAFB379D77556737',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(90,18,2,NULL,0,'session_started',1760000068000000,X'01A203F82BAF759AAA5D46A0EC539CE5',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(91,18,3,10,0,'run_queued',1760000068000000,X'01A203F82BAF7C1EB0E1ECA7C236C7FF',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(92,18,4,10,1,'run_started',1760000069000000,X'01A203F82BB17ABFB7A674705175C168',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(93,18,5,10,1,'message_received',1760000070000000,X'0199C82DD170799C92C9ACA6F704A396',NULL,NULL,NULL,1,'{"text":"at work"}');
INSERT INTO "sessionry_event" VALUES(94,18,6,10,0,'input_received',1760000071000000,X'01A203F82BB47ABE9848B6C4F909D4FA',NULL,NULL,NULL,1,'{"text":"hurry"}');
INSERT INTO "sessionry_event" VALUES(95,18,7,10,0,'run_cancel_requested',1760000072000000,X'01A203F82BB67E19831166B8123075AE',NULL,NULL,NULL,1,'{"reason":"slow"}');
INSERT INTO "sessionry_event" VALUES(96,19,1,NULL,0,'session_created',1760000073000000,X'01A203F82BB7758AB1A2A252418D163E',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(97,19,2,NULL,0,'session_started',1760000074000000,X'01A203F82BB9739EA99186DF6C8C159C',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(98,19,3,11,0,'run_queued',1760000074000000,X'01A203F82BB97AA68DBEAB5501E1E9B2',NULL,NULL,NULL,1,'{"agent_id":"echo","input":{"prompt":"first"},"metadata":{"m":1},"options":{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]},"priority":1}');
INSERT INTO "sessionry_event" VALUES(99,19,4,12,0,'run_queued',1760000075000000,X'01A203F82BBB72819897F7EA3E16C380',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"second","options":{}}');
INSERT INTO "sessionry_event" VALUES(100,20,1,NULL,0,'session_created',1760000076000000,X'01A203F82BBC7FA5976A601E7FEFA68A',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(101,20,2,NULL,0,'session_updated',1760000078000000,X'01A203F82BBE727489E92FEDD190B9FE',NULL,NULL,NULL,1,'{"title":"Once"}');
CREATE TABLE sessionry_idempotency (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    key text not null,
    digest text not null,
    result text not null,
    created_at integer not null,
    primary key (tenant, owner, key)
) without rowid;
INSERT INTO "sessionry_idempotency" VALUES('local','','key-1','8daa210c8ea971dfb9c57e2e10dc824bfe3433243687a1c2b91d8ef4b0093542','{"session":"ses_01a203f82bbc76b3a55eac3f31d313ba","run":null,"approval":null,"seqs":[2]}',1760000077000000);
CREATE TABLE sessionry_run (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    first_seq integer not null,
    last_seq integer, -- null until the run has ended
    status text not null,
    agent_id text not null,
    priority integer not null,
    ready integer not null default 0,
    slot integer,
    attempt integer not null,
    fence integer not null,
    delivery integer not null default 0,
    worker text,
    input text not null,
    output text not null,
    error text,
    metadata text not null,
    options text not null,
    agent text,
    cancel text,
    usage text not null,
    cost text,
    turn_count integer not null,
    created_at integer not null,
    updated_at integer not null,
    started_at integer,
    ended_at integer,
    deadline_at integer,
    pruned integer not null default 0,
    check ((status in ('running', 'waiting')) = (slot is not null))
);
INSERT INTO "sessionry_run" VALUES(1,'run_01a203f82b4b7f4c8466d8c1d890263f',9,3,17,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"],"native_session_id":"n-1","model":"m-1"}',NULL,'{"input_tokens":10,"output_tokens":2}','0.0123',1,1760000023000000,1760000027000000,1760000024000000,1760000027000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(2,'run_01a203f82b5575ba92580ec7d78bc588',10,3,5,'failed','echo',0,0,NULL,1,1,1,NULL,'"go"','null','{"code":"agent_failed","message":"boom","retryable":true}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000029000000,1760000031000000,1760000030000000,1760000031000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(3,'run_01a203f82b5e7be794cb4dbc344edbbd',11,3,5,'cancelled','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000033000000,1760000035000000,1760000034000000,1760000035000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(4,'run_01a203f82b6479939383297fe006df71',12,3,5,'timeout','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000037000000,1760000039000000,1760000038000000,1760000039000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(5,'run_01a203f82b6a71a08f2f279a74088f2a',13,3,6,'failed','echo',0,0,NULL,1,2,1,NULL,'"go"','null','{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000041000000,1760000043000001,1760000042000000,1760000043000001,NULL,0);
INSERT INTO "sessionry_run" VALUES(6,'run_01a203f82b737391b346669e7af7e725',14,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000045000000,1760000050000000,1760000046000000,1760000050000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(7,'run_01a203f82b897462a86e1740ce3f8772',15,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000052000000,1760000057000000,1760000053000000,1760000057000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(8,'run_01a203f82b9b7b2ab5612f71d4b0759e',16,3,NULL,'waiting','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000059000000,1760000061000000,1760000060000000,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(9,'run_01a203f82ba57afbaeb913c0c2302cc7',17,3,NULL,'waiting','echo',0,0,1,1,2,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000063000000,1760000066000000,1760000064000000,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(10,'run_01a203f82baf75a6b497ab2e2fa88a64',18,3,NULL,'running','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}','{"reason":"slow"}','{}',NULL,0,1760000068000000,1760000072000000,1760000069000000,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(11,'run_01a203f82bb97419b071a68021c243cf',19,3,NULL,'pending','echo',1,1,NULL,0,0,0,NULL,'{"prompt":"first"}','null',NULL,'{"m":1}','{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]}',NULL,NULL,'{}',NULL,0,1760000074000000,1760000074000000,NULL,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(12,'run_01a203f82bbb7fbcbf4dfe5beb011573',19,4,NULL,'pending','echo',0,0,NULL,0,0,0,NULL,'"second"','null',NULL,'{}','{}',NULL,NULL,'{}',NULL,0,1760000075000000,1760000075000000,NULL,NULL,NULL,0);
CREATE TABLE sessionry_schema (version bigint primary key, name text not null, applied_at bigint not null);
INSERT INTO "sessionry_schema" VALUES(1,'initial',1795362925350364);
INSERT INTO "sessionry_schema" VALUES(2,'tokens',1795362925350593);
CREATE TABLE sessionry_session (
    key integer primary key autoincrement,
    id text not null unique,
    tenant text not null,
    owner text,
    agent_id text not null,
    status text not null,
    parent integer references sessionry_session (key) on delete set null,
    parent_id text,
    title text,
    title_folded text,
    cwd text,
    metadata text not null,
    context text not null,
    tags text not null,
    slots integer not null check (slots >= 1),
    queue_limit integer not null check (queue_limit >= 0),
    fence integer not null default 0,
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer,
    version integer not null
);
INSERT INTO "sessionry_session" VALUES(1,'ses_01a203f82b2b764c99f0dccd46fcc5b8','local','ann','echo','pending',NULL,NULL,'Changed','changed','/tmp','{"n":[1,null,{"x":2.5}]}','{}','["b c","d"]',1,100,0,1760000003000000,1760000005000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(2,'ses_01a203f82b2d72aaa1f670f175453664','local','ann','echo','pending',1,'ses_01a203f82b2b764c99f0dccd46fcc5b8',NULL,NULL,NULL,'{}','{"system":"be brief"}','[]',2,5,0,1760000004000000,1760000004000000,NULL,1);
INSERT INTO "sessionry_session" VALUES(3,'ses_01a203f82b3079b1910c5287a482f97f','local',NULL,'echo','paused',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000006000000,1760000008000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(4,'ses_01a203f82b34796ba5bf5a12315e42f5','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000009000000,1760000012000000,NULL,4);
INSERT INTO "sessionry_session" VALUES(5,'ses_01a203f82b397921887565300b05921d','local',NULL,'echo','completed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000013000000,1760000015000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(6,'ses_01a203f82b3e7e4cb7ab810ccdcdecef','local',NULL,'echo','cancelled',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000016000000,1760000017000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(7,'ses_01a203f82b42781292de9aedec668eb0','local',NULL,'echo','failed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000018000000,1760000019000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(8,'ses_01a203f82b46737f9e944ee53c2352ca','local',NULL,'echo','pending',NULL,NULL,'Gone','gone',NULL,'{}','{}','[]',1,100,0,1760000020000000,1760000021000000,1760000021000000,2);
INSERT INTO "sessionry_session" VALUES(9,'ses_01a203f82b49717291d29da458571bdf','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000022000000,1760000027000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(10,'ses_01a203f82b5474fc885fb2a02e51330b','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000028000000,1760000031000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(11,'ses_01a203f82b5c72298f43ceec9aab5ee9','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000032000000,1760000035000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(12,'ses_01a203f82b627ce8b0b7a405ef61ec0b','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000036000000,1760000039000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(13,'ses_01a203f82b677c4bb25bf001553308e3','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000040000000,1760000043000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(14,'ses_01a203f82b717ac1871534dcf9e192f0','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000044000000,1760000050000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(15,'ses_01a203f82b857158b83e90cdcbc57ec5','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000051000000,1760000057000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(16,'ses_01a203f82b987d10a55e5d6aed36624f','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000058000000,1760000061000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(17,'ses_01a203f82ba17786ba90868401efc3a0','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000062000000,1760000065000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(18,'ses_01a203f82bad73dd96e73e8750ce4927','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000067000000,1760000069000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(19,'ses_01a203f82bb77b92936b22f93ab1102f','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000073000000,1760000075000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(20,'ses_01a203f82bbc76b3a55eac3f31d313ba','local',NULL,'echo','pending',NULL,NULL,'Once','once',NULL,'{}','{}','[]',1,100,0,1760000076000000,1760000078000000,NULL,2);
CREATE TABLE sessionry_setting (
    name text primary key,
    value text not null
) without rowid;
INSERT INTO "sessionry_setting" VALUES('global_slots','100');
CREATE TABLE sessionry_tag (
    tag text not null,
    session integer not null references sessionry_session (key) on delete cascade,
    primary key (tag, session)
) without rowid;
INSERT INTO "sessionry_tag" VALUES('b c',1);
INSERT INTO "sessionry_tag" VALUES('d',1);
CREATE TABLE sessionry_token (
    key integer primary key autoincrement,
    id text not null unique,
    hash text not null unique, -- SHA-256, hexadecimal
    name text not null,
    tenant text not null,
    owner text, -- null: the whole tenant
    scopes text not null, -- a JSON list
    created_at integer not null,
    expires_at integer,
    revoked_at integer
);
INSERT INTO "sessionry_token" VALUES(1,'tok_01a203f82b2a7fc49c8b38e25bbd8fca','f972e05fadbf18239224f231146d2162493089c7850d23b4c6a8fb33ad1d0b19','ci','local','ann','["run"]',1760000002000000,NULL,NULL);
CREATE TABLE sessionry_worker (
    id text primary key,
    host text not null,
    pid integer not null,
    process_start real not null,
    boot_id text not null,
    started_at integer not null,
    expires_at integer not null,
    slots integer not null,
    agents text not null,
    draining integer not null default 0
);
INSERT INTO "sessionry_worker" VALUES('wrk_sample','h',1,1.5,'b',1760000001000000,1760003601000000,3,'["echo"]',0);
CREATE INDEX sessionry_session_updated on sessionry_session (tenant, updated_at, key);
CREATE INDEX sessionry_session_created on sessionry_session (tenant, created_at, key);
CREATE INDEX sessionry_session_status on sessionry_session (tenant, status, updated_at, key);
CREATE INDEX sessionry_session_parent on sessionry_session (parent) where parent is not null;
CREATE INDEX sessionry_tag_session on sessionry_tag (session);
CREATE UNIQUE INDEX sessionry_run_slot on sessionry_run (session, slot) where slot is not null;
CREATE INDEX sessionry_run_session on sessionry_run (session, key);
CREATE INDEX sessionry_run_queue on sessionry_run (session, priority, key) where status = 'pending';
CREATE INDEX sessionry_run_ready on sessionry_run (priority, key) where ready = 1;
CREATE INDEX sessionry_run_worker on sessionry_run (worker) where worker is not null;
CREATE INDEX sessionry_run_deadline on sessionry_run (deadline_at) where deadline_at is not null;
CREATE INDEX sessionry_run_status on sessionry_run (status, key);
CREATE INDEX sessionry_run_unpruned on sessionry_run (ended_at) where pruned = 0 and ended_at is not null;
CREATE UNIQUE INDEX sessionry_event_seq on sessionry_event (session, seq);
CREATE INDEX sessionry_approval_pending on sessionry_approval (status, key);
CREATE INDEX sessionry_approval_session on sessionry_approval (session, key);
CREATE INDEX sessionry_token_tenant on sessionry_token (tenant, key);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sessionry_token',1);
INSERT INTO "sqlite_sequence" VALUES('sessionry_session',20);
INSERT INTO "sqlite_sequence" VALUES('sessionry_event',101);
INSERT INTO "sqlite_sequence" VALUES('sessionry_run',12);
INSERT INTO "sqlite_sequence" VALUES('sessionry_approval',4);
COMMIT;
