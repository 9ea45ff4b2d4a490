// One row or column of the array's edge: skew of STAGES cycles, the activations' unit (ACTIVATION) and the register behind it.
// Weights get the same register, so that both operands of a step meet.
`include "parameters.svh"
module edge_lane #(`PE_PARAMETERS, parameter ACTIVATION = 1, STAGES = 0, DEPTH = 0, FLAGS = 2,
                   IN = ACTIVATION ? XW : `STORED_W, OUT = ACTIVATION ? AW : WW) (
    input clk,
    input rst,
    input advance,
    input in_valid,
    input [FLAGS-1:0] in_flags,
    input [IN-1:0] in_data,
    output in_ready,
    output out_valid,
    output [FLAGS-1:0] out_flags,
    output [OUT-1:0] out_data,
    input out_pop
);
    wire valid;
    wire [FLAGS-1:0] flags;
    wire [IN-1:0] raw;
    wire [OUT-1:0] data;
    delay #(1 + FLAGS + IN, STAGES) skew(clk, rst, advance, {in_valid, in_flags, in_data}, {valid, flags, raw});

    generate
        if (ACTIVATION) begin : activation
            `EDGE_UNIT #(`PE_PASS) unit(raw, data);
        end else begin : weight
            `USE_WEIGHT
        end

        if (EDGE == 0) begin : direct
            assign in_ready = out_pop;
            assign {out_valid, out_flags, out_data} = {valid, flags, data};
        end else begin : registered
            reg full;
            reg [FLAGS+OUT-1:0] held;
            wire load = DEPTH == 0 ? advance : ~full | out_pop;
            always @(posedge clk)
                if (rst) full <= 0;
                else if (load) full <= valid;
            always @(posedge clk) if (load) held <= {flags, data};
            assign in_ready = load;
            assign {out_valid, out_flags, out_data} = {full, held};
        end
    endgenerate
endmodule
