// One activation through a window of BITS bits, at the smallest allowed shift that keeps its leading one.
// The dropped bits round half to even and saturate inside the window (ROUND), or are cut.
module trim_value #(parameter BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, ROUND = 1) (
    input [7:0] x,
    output [BITS-1:0] q,
    output reg [CODE-1:0] code,  // the shift is code * STRIDE
    output lost                  // a dropped bit was 1
);
    reg [BITS-1:0] kept;
    reg guard, sticky;  // the highest dropped bit; whether any below it is 1
    integer place;

    always_comb begin
        code = 0;
        kept = x[BITS-1:0];
        guard = 0;
        sticky = 0;
        for (place = 1; place < PLACES; place = place + 1)
            if ((x >> ((place - 1) * STRIDE + BITS)) != 0) begin
                code = place;
                kept = x >> (place * STRIDE);
                guard = x[place * STRIDE - 1];
                sticky = (x & ((8'd1 << (place * STRIDE - 1)) - 8'd1)) != 0;
            end
    end

    wire up = (ROUND != 0) & guard & (sticky | kept[0]) & ~(&kept);
    assign q = kept + up;
    assign lost = guard | sticky;
endmodule
